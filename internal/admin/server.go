package admin

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/backup"
	"lockstep/internal/blob"
	"lockstep/internal/cluster"
	"lockstep/internal/device"
	"lockstep/internal/longpoll"
	"lockstep/internal/mail"
	"lockstep/internal/search"
	"lockstep/internal/store"
	"lockstep/internal/upkeep"
)

// Ops does the verbs.
type Ops struct {
	Store      store.Store
	Directory  store.Directory
	Keeper     store.Keeper
	Queue      store.Queue
	Auth       *auth.Service
	Blobs      *blob.Store
	Policies   device.Policies
	Trails     *device.Trails
	Backups    *backup.Service                                        // nil: there are none
	BackupKeep time.Duration                                          // how far back points are kept
	BackupJob  *upkeep.Job                                            // makes them; nil: nothing is known of them
	DrillJob   *upkeep.Job                                            // tries whether they would come back
	Drill      backup.DrillOptions                                    // how, but for Bytes and Progress
	KeyFile    func() ([]byte, error)                                 // the text of the key file
	Search     *search.Index                                          // nil: there is none
	Scrub      *upkeep.Scrub                                          // nil: there is none
	Ingest     func(context.Context, io.Reader) (mail.Arrival, error) // makes a message durable, ready to be appended
	// LookInto opens a backup at its point for a time; zero is now. nil: there is none to be had.
	LookInto   func(ctx context.Context, spec string, s backup.Secret, at time.Time, stage func(string)) (*Looking, error)
	Log        *slog.Logger
	QueueMoved func() // wakes who sends; nil: nobody does
	Quota      int64  // of a new account that asks for none
	// KeepRemoved is for how long removed accounts can be brought back; 0 is not at all.
	KeepRemoved time.Duration
	Message     int64 // bytes of the largest message taken
	Version     string
	Serving     bool // a server does this, and not a command by itself

	// Certificates tells how those in force stand; nil: nobody serves any.
	Certificates func(context.Context) ([]Certificate, error)

	Drainer Drainer // nil: there is no server to be drained

	Node   *cluster.Node // this one; nil is alone
	Nodes  store.Nodes
	Leases store.Leases

	Erasures store.Erasures
	Depths   Depths
	ProofKey []byte     // seals proofs of erasures
	erasing  sync.Mutex // one at a time in this process

	// Alone does something under a name that no other node does under it meanwhile, or is
	// Conflict; nil: there are no other nodes.
	Alone func(ctx context.Context, name string, do func(context.Context) error) error
}

// stopTime bounds how long a stopping server waits for calls under way.
const stopTime = 2 * time.Second

// Serve answers on l until ctx ends.
func (o *Ops) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: o.Handler(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	return longpoll.Serve(ctx, srv, l, stopTime)
}

// Handler serves every verb.
func (o *Ops) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(Ping.handler(o))
	mux.HandleFunc(AccountAdd.handler(o))
	mux.HandleFunc(AccountList.handler(o))
	mux.HandleFunc(AccountGet.handler(o))
	mux.HandleFunc(AccountName.handler(o))
	mux.HandleFunc(VacationShow.handler(o))
	mux.HandleFunc(VacationSet.handler(o))
	mux.HandleFunc(AccountPassword.handler(o))
	mux.HandleFunc(AccountFactors.handler(o))
	mux.HandleFunc(AccountDisable.handler(o))
	mux.HandleFunc(AccountRemove.handler(o))
	mux.HandleFunc(AccountsKept.handler(o))
	mux.HandleFunc(AccountUndelete.handler(o))
	mux.HandleFunc(AccountQuota.handler(o))
	mux.HandleFunc(AccountSet.handler(o))
	mux.HandleFunc(AccountShow.handler(o))
	mux.HandleFunc(GuardList.handler(o))
	mux.HandleFunc(GuardUndo.handler(o))
	mux.HandleFunc(GuardAccept.handler(o))
	mux.HandleFunc(AddressList.handler(o))
	mux.HandleFunc(AddressAdd.handler(o))
	mux.HandleFunc(AddressRemove.handler(o))
	mux.HandleFunc(DeviceList.handler(o))
	mux.HandleFunc(DeviceAdd.handler(o))
	mux.HandleFunc(DeviceSignOut.handler(o))
	mux.HandleFunc(DeviceAccess.handler(o))
	mux.HandleFunc(DeviceWipe.handler(o))
	mux.HandleFunc(DeviceShow.handler(o))
	mux.HandleFunc(PolicyList.handler(o))
	mux.HandleFunc(PolicySet.handler(o))
	mux.HandleFunc(MailboxList.handler(o))
	mux.HandleFunc(MailboxShare.handler(o))
	mux.HandleFunc(MailboxShares.handler(o))
	mux.HandleFunc(MailboxCommonSeen.handler(o))
	mux.HandleFunc(MailboxDeleted.handler(o))
	mux.HandleFunc(MailboxUndelete.handler(o))
	mux.HandleFunc(History.handler(o))
	mux.HandleFunc(Undo.handler(o))
	mux.HandleFunc(EraseLook.handler(o))
	mux.HandleFunc(EraseDo.handler(o))
	mux.HandleFunc(EraseResume.handler(o))
	mux.HandleFunc(EraseList.handler(o))
	mux.HandleFunc(EraseVerify.handler(o))
	mux.HandleFunc(KeyShow.handler(o))
	mux.HandleFunc(KeyRotate.handler(o))
	mux.HandleFunc(KeyRewrap.handler(o))
	mux.HandleFunc(KeyRetire.handler(o))
	mux.HandleFunc(Doctor.handler(o))
	mux.HandleFunc(ClusterDrain.handler(o))
	mux.HandleFunc(ClusterStatus.handler(o))
	mux.HandleFunc(QueueList.handler(o))
	mux.HandleFunc(BackupMake.handler(o))
	mux.HandleFunc(BackupFollow.handler(o))
	mux.HandleFunc(BackupPrune.handler(o))
	mux.HandleFunc(QueueRelease.handler(o))
	mux.HandleFunc(QueueDrop.handler(o))
	mux.HandleFunc(SearchStatus.handler(o))
	mux.HandleFunc(SearchRebuild.handler(o))
	mux.HandleFunc(BackupDrill.handler(o))
	mux.HandleFunc(BackupStatus.handler(o))
	mux.HandleFunc(ScrubStatus.handler(o))
	mux.HandleFunc(ScrubNow.handler(o))
	mux.HandleFunc(MessageList.handler(o))
	mux.HandleFunc("GET /v1/message", o.messageHandler)
	mux.HandleFunc(PastMailboxes.handler(o))
	mux.HandleFunc(PastMessages.handler(o))
	mux.HandleFunc(PastRestore.handler(o))
	mux.HandleFunc("GET /v1/past/message", o.pastHandler)
	mux.HandleFunc("POST /v1/import", o.importHandler)
	return mux
}

// Nothing is a question without content, or an answer without rows.
type Nothing struct{}

// Hello is who answers.
type Hello struct {
	Version string
	PID     int
}

// Ping asks who is there.
var Ping = Verb[Nothing, Hello]{"ping", func(o *Ops, _ context.Context, _ Nothing, emit func(Hello) error) error {
	return emit(Hello{o.Version, os.Getpid()})
}}

// operator is the origin of what the command line changes.
func operator() mail.Origin { return mail.NewOrigin("operator", 0, mail.Local, mail.ByAdmin) }
