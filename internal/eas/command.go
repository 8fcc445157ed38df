package eas

import (
	"strings"

	"lockstep/internal/eas/wbxml"
)

// A command is what a device asks for by name or by code (MS-ASHTTP §2.2.1.1.1.1.1).
type command struct {
	name  string
	code  byte
	root  wbxml.Tag
	serve func(*request) (*answer, error)

	since version // 0 is all
	until version // 0 is all
	empty bool    // may come without a body
	mime  bool    // to 12.1, the body is a message and not WBXML
}

// commands are those that are served, in the order in which they are announced.
// It is a function, not a variable: what it lists looks commands up itself.
func commands() []command {
	return []command{
		{name: "Sync", code: 0, root: wbxml.AirSyncSync, serve: (*request).sync, empty: true},
		{name: "SendMail", code: 1, root: wbxml.ComposeSendMail, serve: (*request).sendMail, mime: true},
		{name: "SmartForward", code: 2, root: wbxml.ComposeSmartForward, serve: (*request).smartForward, mime: true},
		{name: "SmartReply", code: 3, root: wbxml.ComposeSmartReply, serve: (*request).smartReply, mime: true},
		{name: "GetAttachment", code: 4, serve: (*request).getAttachment, until: v121, empty: true},
		{name: "FolderSync", code: 9, root: wbxml.FolderFolderSync, serve: (*request).folderSync},
		{name: "FolderCreate", code: 10, root: wbxml.FolderFolderCreate, serve: (*request).folderCreate},
		{name: "FolderDelete", code: 11, root: wbxml.FolderFolderDelete, serve: (*request).folderDelete},
		{name: "FolderUpdate", code: 12, root: wbxml.FolderFolderUpdate, serve: (*request).folderUpdate},
		{name: "MoveItems", code: 13, root: wbxml.MoveMoveItems, serve: (*request).moveItems},
		{name: "GetItemEstimate", code: 14, root: wbxml.EstimateGetItemEstimate, serve: (*request).getItemEstimate},
		{name: "MeetingResponse", code: 15, root: wbxml.MeetingMeetingResponse, serve: (*request).meetingResponse},
		{name: "Search", code: 16, root: wbxml.SearchSearch, serve: (*request).search},
		{name: "Settings", code: 17, root: wbxml.SettingsSettings, serve: (*request).settings},
		{name: "Ping", code: 18, root: wbxml.PingPing, serve: (*request).ping, empty: true},
		{name: "ItemOperations", code: 19, root: wbxml.ItemsItemOperations, serve: (*request).itemOperations},
		{name: provisionName, code: 20, root: wbxml.ProvisionProvision, serve: (*request).provision, empty: true},
		{name: "ResolveRecipients", code: 21, root: wbxml.ResolveResolveRecipients, serve: (*request).resolveRecipients},
		{name: "ValidateCert", code: 22, root: wbxml.CertValidateCert, serve: (*request).validateCert},
		{name: "Find", code: 23, root: wbxml.FindFind, serve: (*request).findCommand, since: v161},
	}
}

func commandNames() []string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return names
}

// commandByCode is the name of a command that is served; "" if none has the code.
func commandByCode(code byte) string {
	for _, c := range commands() {
		if c.code == code {
			return c.name
		}
	}
	return ""
}

// commandByName finds a command of a version; names ignore case.
func commandByName(name string, v version) (command, bool) {
	for _, c := range commands() {
		if strings.EqualFold(c.name, name) {
			return c, v >= c.since && (c.until == 0 || v <= c.until)
		}
	}
	return command{}, false
}
