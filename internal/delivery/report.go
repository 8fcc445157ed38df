package delivery

import "context"

// reportDelivered tells senders who asked for it that their message arrived.
func (s *Service) reportDelivered(ctx context.Context, env *Envelope, in *spool, errs []error) error {
	return nil
}
