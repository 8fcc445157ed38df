package mail

// A PrincipalID names who authenticates.
type PrincipalID int64
