package admin

import (
	"context"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Policy is a policy that is configured, and who chose it.
type Policy struct {
	Name     string
	Missing  bool // chosen by somebody, and not configured: the default one holds for them
	Accounts []string
}

// PolicyOf chooses the policy of an account; "" is the default one.
type PolicyOf struct {
	Login string
	Name  string
}

// The verbs of policies.
var (
	PolicyList = Verb[Nothing, Policy]{"policy/list", (*Ops).policyList}
	PolicySet  = Verb[PolicyOf, Nothing]{"policy/set", (*Ops).policySet}
)

func (o *Ops) policyList(ctx context.Context, _ Nothing, emit func(Policy) error) error {
	chosen, err := o.chosenPolicies(ctx)
	if err != nil {
		return err
	}
	for _, name := range o.Policies.Names() {
		if err := emit(Policy{Name: name, Accounts: chosen[name]}); err != nil {
			return err
		}
		delete(chosen, name)
	}
	for name, accounts := range chosen {
		if err := emit(Policy{name, true, accounts}); err != nil {
			return err
		}
	}
	return nil
}

// chosenPolicies says which accounts chose which policy, or none. It asks each
// account: few do this, and seldom.
func (o *Ops) chosenPolicies(ctx context.Context) (map[string][]string, error) {
	all, err := o.Directory.Accounts(ctx)
	chosen := map[string][]string{}
	for _, p := range all {
		err := o.Store.View(ctx, p.Account, func(r store.Reader) error {
			name, err := r.Preference(mail.DevicePolicy)
			chosen[name] = append(chosen[name], p.Login)
			return err
		})
		if err != nil && mail.KindOf(err) != mail.NotFound { // removed meanwhile
			return nil, err
		}
	}
	return chosen, err
}

func (o *Ops) policySet(ctx context.Context, q PolicyOf, emit func(Nothing) error) error {
	return o.accountSet(ctx, Choice{q.Login, mail.DevicePolicy, q.Name}, emit)
}

func (o *Ops) noPolicy(name string) error {
	return mail.Errorf(mail.Invalid, "there is no policy %q; configured are %s", name, strings.Join(o.Policies.Names(), ", "))
}
