package jmap

// mailURN is the capability of mail (RFC 8621 §1.3.1).
const mailURN = "urn:ietf:params:jmap:mail"
