package pgserver

import "syscall"

// endWithUs lets a process end when the one that started it does.
func endWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
