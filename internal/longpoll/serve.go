package longpoll

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Serve answers on l until ctx ends. Then nobody new is let in, who waits is
// answered, requests under way may end for as long as patience, and connections are
// closed. It closes l. Requests may be held if l is a Listener.
func Serve(ctx context.Context, srv *http.Server, l net.Listener, patience time.Duration) error {
	ours, _ := l.(*Listener)
	if ours != nil {
		srv.ConnContext = withSocket
	}
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		shutdown(ctx, srv, ours, patience)
	})
	err := srv.Serve(l)
	asked := ctx.Err() != nil
	cancel() // also when Accept fails
	<-stopped
	if errors.Is(err, http.ErrServerClosed) || asked {
		return nil
	}
	return err
}

func shutdown(ctx context.Context, srv *http.Server, l *Listener, patience time.Duration) {
	var waits sync.WaitGroup
	defer waits.Wait()
	if l != nil {
		waits.Go(l.drain)
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if srv.Shutdown(bound) != nil {
		srv.Close()
	}
}
