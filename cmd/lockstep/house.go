package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/auth"
	"lockstep/internal/backup"
	"lockstep/internal/blob"
	"lockstep/internal/certs"
	"lockstep/internal/cluster"
	"lockstep/internal/config"
	"lockstep/internal/delivery"
	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/search"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/transfer"
	"lockstep/internal/upkeep"
	"lockstep/internal/vfs"
)

// What lies in the data directory.
const (
	lockFile     = "lock"
	keyFile      = "key"
	databaseFile = "lockstep.db"
	markFile     = "mark"
	packDir      = "packs"
	fetchedDir   = "fetched" // from the bucket that has the mail
	spoolDir     = "spool"
	searchDir    = "search"
	upkeepDir    = "upkeep"
)

// house is a data directory, opened: all parts that need no network.
type house struct {
	cfg       config.Config
	log       *slog.Logger
	db        *sqlstore.DB
	blobs     *blob.Store
	salts     []byte
	searchKey []byte
	proofKey  []byte
	hub       *notify.Hub
	bus       notify.Bus // to the other nodes; nil: there are none
	node      *cluster.Node
	keeper    *cluster.Keeper
	auth      *auth.Service
	trails    *device.Trails
	delivery  *delivery.Service
	transfer  *transfer.Service
	search    *search.Index
	scrub     *upkeep.Scrub
	backups   *backup.Service
	follower  *backup.Follower // nil: nobody follows this server all the time
	backupJob *upkeep.Job
	drillJob  *upkeep.Job
	ops       *admin.Ops
	newKey    bool // the key file was made just now
	leave     *departure
	acme      atomic.Pointer[certs.Manager] // nil: not set, or not yet

	ownCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error) // of files; nil until the server runs

	readiness *readiness

	saidUpgrading time.Time // when an upgrade was spoken of last

	otherDatabase <-chan struct{} // closed when the database became another
	changedOver   bool            // so everything has to begin anew

	sessions   func() map[string]int       // now, by protocol
	addresses  func() map[string][]string  // where it listens
	push       func(context.Context) error // tells clients elsewhere what changed
	lookToPush func(mail.AccountID)
	wakeQueue  func()

	closers []func() error // what to close, the last first
}

// flushTime bounds what is written down at the end that nobody needs.
const flushTime = 5 * time.Second

var errInUse = errors.New("is in use")

// openHouse opens the data directory, and makes what is not there. Who holds it
// already makes it fail with errInUse.
func openHouse(ctx context.Context, cfg config.Config, log *slog.Logger) (_ *house, err error) {
	h := &house{cfg: cfg, log: log, hub: &notify.Hub{}}
	h.leave = newDeparture(time.Duration(cfg.Cluster.DrainNotice), time.Duration(cfg.Cluster.DrainTime), time.Duration(cfg.Limits.StopTime), log)
	h.readiness = h.newReadiness()
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if err := h.openDir(); err != nil {
		return nil, err
	}
	if err := h.openDatabase(ctx); err != nil {
		return nil, err
	}
	h.closers = append(h.closers, h.db.Close)
	if err := h.joinNodes(); err != nil {
		return nil, err
	}
	h.openNode()
	if err := h.openBlobs(ctx); err != nil {
		return nil, err
	}
	if err := h.relocate(ctx); err != nil {
		return nil, err
	}
	h.auth = auth.New(h.db, h.db, h.salts, log)
	h.auth.UsePolicies(cfg.Policies())
	if err := h.joinSignIns(ctx); err != nil {
		return nil, err
	}
	h.trails = device.NewTrails(h.db, log)
	h.closers = append(h.closers, h.flushTrails)
	h.delivery = &delivery.Service{
		Store: h.db, Directory: h.db, Queue: h.db, Blobs: h.blobs, Log: log,
		Hostname: hostname(cfg), SpoolDir: h.path(spoolDir), Postmaster: cfg.Postmaster,
		CanSend: cfg.Outgoing.Via != config.ViaNone, MaxSent: maxSent(cfg), Several: h.isClustered(),
	}
	h.auth.TellBy(h.tellOfDevice)
	h.transfer = &transfer.Service{Store: h.db, Intents: h.db, Log: log, Node: h.node.ID()}
	if !h.isClustered() { // of several nodes one does it, for those that are gone
		if err := h.transfer.Resume(ctx); err != nil {
			return nil, err
		}
	}
	if err := h.openSearch(); err != nil {
		return nil, err
	}
	h.delivery.WroteTo = h.search.WroteTo
	if h.backups, err = h.openBackups(); err != nil {
		return nil, err
	}
	h.openScrub()
	h.openJobs()
	h.ops = &admin.Ops{
		Backups: h.backups, BackupKeep: time.Duration(cfg.Backup.Keep), BackupJob: h.backupJob, DrillJob: h.drillJob, Drill: h.drillOptions(), KeyFile: h.readKeyFile,
		Store: h.db, Directory: h.db, Keeper: h.db, Queue: h.db, Auth: h.auth, Policies: cfg.Policies(), Trails: h.trails, Blobs: h.blobs, Search: h.search, Scrub: h.scrub, Ingest: h.delivery.Ingest, LookInto: h.lookInto, Log: log,
		Quota: int64(cfg.Accounts.Quota), KeepRemoved: time.Duration(cfg.Accounts.Keep), Message: int64(cfg.Limits.Message), Version: version,
		Erasures: h.db, Depths: depths{h}, ProofKey: h.proofKey, Drainer: h.leave, Certificates: h.certificateStates,
		Node: h.node, Nodes: h.db, Leases: h.db, Alone: h.keeper.Alone,
	}
	h.ops.LookInto = h.lookInto
	if cfg.Backup.Follow {
		h.follower = h.backups.Follower("", nil)
		h.follower.Prune = h.ops.PruneFollowed
	}
	return h, nil
}

// openDatabase opens the database of the data directory, or the one that several
// nodes share.
func (h *house) openDatabase(ctx context.Context) (err error) {
	o := sqlstore.Options{Hub: h.hub, Log: h.log, Guard: guardRule(h.cfg.Guard), Program: version, Upgrading: h.sayUpgrading, Lossless: h.cfg.Cluster.Lossless}
	if h.cfg.Cluster.Database == "" {
		o.Mark = h.path(markFile)
		h.db, err = sqlstore.Open(ctx, h.path(databaseFile), o)
		if err != nil {
			return fmt.Errorf("database %s: %w", h.path(databaseFile), err)
		}
		return nil
	}
	if o.Password, err = h.databasePassword(); err != nil {
		return err
	}
	o.Readdressed = h.tellAddresses
	if h.db, err = sqlstore.OpenPostgres(ctx, h.cfg.Cluster.Database, o); err != nil {
		return fmt.Errorf("cluster.database: %w", err)
	}
	h.otherDatabase = h.db.ChangedOver()
	return nil
}

// databasePassword is that of the database that nodes share; "" is what its URL says.
func (h *house) databasePassword() (string, error) {
	file := h.cfg.Cluster.PasswordFile
	if file == "" {
		return "", nil
	}
	line, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("cluster.password_file: %w", err)
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// guardRule is the configured rule, as the store takes it.
func guardRule(c config.Guard) mail.GuardRule {
	return mail.GuardRule{Share: c.Share, Minimum: int64(c.Minimum), Window: time.Duration(c.Window), Else: string(c.Mode)}
}

func (h *house) path(name string) string { return filepath.Join(h.cfg.Data, name) }

// openDir makes the directories, only their owner's, and takes the lock.
func (h *house) openDir() error {
	_, err := os.Stat(h.cfg.Data)
	made := errors.Is(err, fs.ErrNotExist)
	for _, dir := range []string{h.cfg.Data, h.path(spoolDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("data directory %s can't be made: %w; name another with --data", dir, err)
		}
	}
	info, err := os.Stat(h.cfg.Data)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("data directory %s is open to others (%v), and mail is nobody else's: chmod 700 %[1]s", h.cfg.Data, info.Mode().Perm())
	}
	if err := ownedByUs(h.cfg.Data, info); err != nil {
		return err
	}
	if err := mustNotMove(h.cfg.Data); err != nil {
		return err
	}
	lock, err := vfs.OS{}.Lock(h.path(lockFile))
	if err != nil {
		return fmt.Errorf("data directory %s %w by another process (%v): stop that one, or name another with --data", h.cfg.Data, errInUse, err)
	}
	h.closers = append(h.closers, lock.Close)
	if err := mustBeWhole(h.cfg.Data); err != nil {
		return err
	}
	if err := h.sweepSpool(); err != nil {
		return err
	}
	if !made {
		return nil
	}
	// The directory's own name has to last too, or everything in it may go with it.
	return vfs.OS{}.SyncDir(filepath.Dir(filepath.Clean(h.cfg.Data)))
}

// tellOfDevice tells an account that a device waits to be let in, or did its wipe.
func (h *house) tellOfDevice(ctx context.Context, account mail.AccountID, d mail.Device) {
	if err := h.delivery.TellOfDevice(ctx, account, d, time.Now()); err != nil {
		h.log.WarnContext(ctx, "account not told of a device", "account", int64(account), "err", err)
	}
}

// flushTrails writes down what became of devices lately.
func (h *house) flushTrails() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	h.trails.Flush(ctx)
	return nil
}

// sweepSpool removes what a process that was killed had not unlinked yet: mail on
// its way in, never acknowledged.
func (h *house) sweepSpool() error {
	left, err := filepath.Glob(h.path(filepath.Join(spoolDir, "*.tmp")))
	for _, file := range left {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// ownedByUs refuses a directory of another user, also to root: files that root makes
// in it would be in its owner's way.
func ownedByUs(dir string, info os.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	owner := strconv.Itoa(int(st.Uid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	return fmt.Errorf("data directory %s belongs to user %s: run this as that user, such as with sudo -u %s", dir, owner, owner)
}

func (h *house) openBlobs(ctx context.Context) error {
	bucket, err := h.openMailBucket(ctx)
	if err != nil {
		return err
	}
	keys, created, err := blob.OpenKeyring(vfs.OS{}, h.path(keyFile), h.path(packDir))
	if err != nil {
		return err
	}
	h.newKey = created
	if h.salts, err = keys.Derive("SCRAM salts"); err != nil {
		return err
	}
	if h.searchKey, err = keys.Derive("search text"); err != nil {
		return err
	}
	if h.proofKey, err = keys.Derive("erasure proofs"); err != nil {
		return err
	}
	if bucket != nil {
		h.blobs, err = blob.OpenBucket(ctx, h.path(fetchedDir), keys, h.db.Blobs(), bucket, blob.Options{Cache: int64(h.cfg.Cluster.Cache)})
	} else {
		h.blobs, err = blob.Open(h.path(packDir), keys, h.db.Blobs(), blob.Options{})
	}
	if err != nil {
		return err
	}
	h.closers = append(h.closers, h.blobs.Close)
	return nil
}

// relocate finds what compaction moved since an older copy of the database was made.
func (h *house) relocate(ctx context.Context) error {
	why, _ := h.db.Returned()
	if why == "" {
		return nil
	}
	r, err := h.blobs.Relocate(ctx)
	if err == nil && r.Packs > 0 {
		h.log.WarnContext(ctx, "packs that the older database names are not there: what they held was looked for in the others; see lockstep doctor", "packs", r.Packs, "found", r.Moved, "lost", r.Lost)
	}
	return err
}

// openSearch opens the search indexes. A server that is told nothing of PDF files
// searches the rest.
func (h *house) openSearch() (err error) {
	pdf, err := pdfReader()
	if err != nil {
		h.log.Warn("PDF files are not searched", "err", err)
	}
	h.search, err = search.New(h.path(searchDir), search.Options{
		Nodes: h.searchNodes(), Store: h.db, Directory: h.db, Hub: h.hub, Secret: h.searchKey, Log: h.log, PDF: pdf,
		Blobs: func(ctx context.Context, b mail.Blob) (search.Bytes, error) {
			r, err := h.blobs.Open(ctx, b)
			if err != nil {
				return nil, err // and not a nil *blob.Reader, which is Bytes
			}
			return r, nil
		},
	})
	if err != nil {
		return err
	}
	h.closers = append(h.closers, h.search.Close)
	return nil
}

// searchNodes is what the indexes need of a server that is one of several.
func (h *house) searchNodes() *search.Nodes {
	if !h.isClustered() {
		return nil
	}
	return &search.Nodes{Dial: h.db.Dial, Readable: sqlstore.Readable, Bus: h.bus}
}

// people asks the directory; nil where it is turned off.
func (h *house) people() func(context.Context, store.PeopleQuery) ([]store.Person, error) {
	if !h.cfg.Accounts.Directory {
		return nil
	}
	return h.db.People
}

// sayNewKey asks, once, for a copy of the key.
func (h *house) sayNewKey(to io.Writer) {
	if h.newKey {
		fmt.Fprintf(to, "All mail is sealed with the key in %s, made just now. Keep a copy of that file apart from\nthe mail: without it, no mail and no backup of it can be read.\n", h.path(keyFile))
	}
}

// sayReturned says that the database was taken for an older copy.
func (h *house) sayReturned(to io.Writer) {
	if why, _ := h.db.Returned(); why != "" {
		fmt.Fprintf(to, "The database is an older copy of itself, or may be: %s. Every account began a new epoch: devices catch up by themselves,\nand outgoing mail is held: see lockstep queue list. So it is after every restore.\n", why)
	}
}

// close lets go of everything.
func (h *house) close() error {
	var errs []error
	for i := len(h.closers) - 1; i >= 0; i-- {
		errs = append(errs, h.closers[i]())
	}
	h.closers = nil
	return errors.Join(errs...)
}

// maxSent lets every message through that may have so many recipients.
func maxSent(cfg config.Config) int {
	if cfg.Limits.SentPerHour == 0 {
		return 0
	}
	return max(cfg.Limits.SentPerHour, cfg.Limits.Recipients)
}
