package jmap

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
)

// A method is what clients can call, when they say that they use its capability.
type method struct {
	capability string
	serve      func(context.Context, *call) error
}

// methods are all there are; what is here is announced and served whole.
var methods map[string]method

func init() { // a method may call another, which is found here
	methods = map[string]method{
		"Core/echo": {core, func(_ context.Context, c *call) error { return c.answer(c.args) }},

		"Act/query":          {ours, with(actQuery)},
		"Act/get":            {ours, with(actGet)},
		"Act/undo":           {ours, with(actUndo)},
		"Device/get":         {ours, with(deviceGet)},
		"Device/set":         {ours, with(deviceSet)},
		"Mailbox/get":        {mailURN, with(mailboxGet)},
		"Mailbox/changes":    {mailURN, with(mailboxChanges)},
		"Email/set":          {mailURN, with(emailSet)},
		"Thread/get":         {mailURN, with(threadGet)},
		"Thread/changes":     {mailURN, with(threadChanges)},
		"Email/parse":        {mailURN, with(emailParse)},
		"Email/get":          {mailURN, with(emailGet)},
		"Email/query":        {mailURN, with(emailQueryMethod)},
		"Email/queryChanges": {mailURN, with(emailQueryChanges)},
		"Email/changes":      {mailURN, with(emailChanges)},

		"Email/import":       {mailURN, with(emailImport)},
		"Email/copy":         {mailURN, with(emailCopy)},
		"Blob/copy":          {core, with(blobCopy)},
		"Blob/upload":        {blobURN, with(blobUpload)},
		"Blob/get":           {blobURN, with(blobGet)},
		"Blob/lookup":        {blobURN, with(blobLookup)},
		"Quota/get":          {quotaURN, with(quotaGet)},
		"Quota/changes":      {quotaURN, with(quotaChanges)},
		"Quota/query":        {quotaURN, with(quotaQuery)},
		"Quota/queryChanges": {quotaURN, with(quotaQueryChanges)},

		"Mailbox/set":          {mailURN, with(mailboxSet)},
		"Mailbox/query":        {mailURN, with(mailboxQueryMethod)},
		"Mailbox/queryChanges": {mailURN, with(mailboxQueryChanges)},
		"SearchSnippet/get":    {mailURN, with(snippetGet)},
	}
	maps.Copy(methods, methodsOfSending())
}

// A call is one method call under way.
type call struct {
	*request
	name string
	id   string
	args json.RawMessage
}

// with makes a method of a function that takes its arguments parsed.
func with[A any](fn func(context.Context, *call, *A) error) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		a := new(A)
		if err := decodeStrict(c.args, a); err != nil {
			return badArguments(err)
		}
		return fn(ctx, c, a)
	}
}

// badArguments says what is wrong with arguments that can't be decoded.
func badArguments(err error) error {
	if e, ok := errors.AsType[*methodError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return invalidArguments("the argument "+e.Field+" can't be "+e.Value, e.Field)
	}
	return invalidArguments(strings.TrimPrefix(err.Error(), "json: "))
}

// answer answers the call under its own name.
func (c *call) answer(v any) error {
	c.respond(c.name, c.id, v)
	return nil
}
