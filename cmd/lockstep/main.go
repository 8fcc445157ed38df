// Command lockstep is the whole server and everything an operator does with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"lockstep/internal/config"
)

// version is set by the linker (make build).
var version = "unknown"

// globals are the flags of every command.
type globals struct {
	Config string `help:"Configuration file. Default: $LOCKSTEP_CONFIG, else /etc/lockstep/lockstep.toml if it is there, else built-in defaults." placeholder:"FILE"`
	Data   string `help:"Data directory, in place of the configured one." placeholder:"DIR"`
}

// load reads the configuration that is in force.
func (g *globals) load() (config.Config, error) {
	cfg, err := config.Load(config.Find(g.Config))
	if g.Data != "" {
		cfg.Data = g.Data
	}
	return cfg, err
}

type commands struct {
	globals

	Serve    serveCommand    `cmd:"" help:"Run the server."`
	Demo     demoCommand     `cmd:"" help:"Run a server with two accounts full of sample mail, and show each change as it goes round."`
	Account  accountCommand  `cmd:"" help:"Add, list and change accounts."`
	Vacation vacationCommand `cmd:"" help:"Answer mail for who is away."`
	Address  addressCommand  `cmd:"" help:"Give accounts further addresses, and whole domains."`
	Device   deviceCommand   `cmd:"" help:"See, add, sign out and block the devices of an account."`
	Mailbox  mailboxCommand  `cmd:"" help:"See the mailboxes of an account, and share them."`
	Cluster  clusterCommand  `cmd:"" help:"See the nodes that serve, and take one out of service without cutting anybody off."`
	Queue    queueCommand    `cmd:"" help:"See what is on its way out, and decide about what is held since a restore."`
	Restored restoredCommand `cmd:"" help:"Say that this directory came back from an older copy, such as a snapshot of the machine."`
	Import   importCommand   `cmd:"" help:"Bring mail in from mbox files or Maildirs."`
	Export   exportCommand   `cmd:"" help:"Write mail out as a Maildir or mbox files."`
	History  historyCommand  `cmd:"" help:"Say who changed what in an account, with which device, and when."`
	View     viewCommand     `cmd:"" help:"Show an account as it was: its mailboxes, a mailbox, a message; or copy it out."`
	Search   searchCommand   `cmd:"" help:"See the search indexes, and make them anew."`
	Undo     undoCommand     `cmd:"" help:"Take back an act that history shows."`
	Guard    guardCommand    `cmd:"" help:"Decide about what devices deleted in a rush."`
	Standby  standbyCommand  `cmd:"" help:"Follow a server by its backup, to take its place."`
	Promote  promoteCommand  `cmd:"" help:"Make a standby the server."`
	Erase    eraseCommand    `cmd:"" help:"Erase a message, a person or an account for good, with a written proof."`
	Key      keyCommand      `cmd:"" help:"See, rotate and retire the keys that all mail is sealed with."`
	Backup   backupCommand   `cmd:"" help:"Copy everything elsewhere, so that it can be brought back."`
	Restore  restoreCommand  `cmd:"" help:"Bring everything back from a backup, into a new directory; or, with --account, make one account as it was."`
	Migrate  migrateCommand  `cmd:"" help:"Move all accounts to another database, and mail into a bucket."`
	Upgrade  upgradeCommand  `cmd:"" help:"See what an upgrade did to the database, and go back to the version before."`
	Doctor   doctorCommand   `cmd:"" help:"Check everything that is stored, and say what to do."`
	Scrub    scrubCommand    `cmd:"" help:"See how far the slow pass over everything that is stored is, and make one now."`
	Conf     confCommand     `cmd:"" name:"config" help:"Print or check the configuration."`
	Bench    benchCommand    `cmd:"" help:"Measure this server beside Dovecot."`
	Simulate simulateCommand `cmd:"" help:"Let simulated devices work against a server of its own that is killed meanwhile, and see whether all agree."`
	Version  versionCommand  `cmd:"" help:"Print the version."`

	PDFText pdfTextCommand `cmd:"" name:"pdf-text" hidden:""`
}

const description = `Mail on every device, in lockstep: an IMAP and SMTP server with one journal per account.

To look around: lockstep demo

To begin: lockstep account add alice@example.test && lockstep serve`

func main() {
	syscall.Umask(0o077) // mail, keys and sockets are nobody else's, whoever makes the file
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var cli commands
	parsed := kong.Parse(&cli, kong.Name("lockstep"), kong.Description(description), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(&cli.globals))
	err := parsed.Run()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		os.Exit(130) // interrupted: nothing to explain
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lockstep:", err)
		os.Exit(1)
	}
}

type versionCommand struct{}

func (versionCommand) Run() error {
	fmt.Println("lockstep", version)
	return nil
}
