// Package docusigntest is a simulated Docusign in memory: its sign-in server
// and the part of the eSignature REST API v2.1 that lists, reads and closes
// users, and that of the Admin API which does so for an organization, behind
// one http.Handler. Tests, `signoff demo` and `signoff simulate` run against it.
//
// It follows Docusign's published API description and help pages, and takes
// nothing from our own client, so that the two cannot share a mistake. Where
// Docusign does not say what it does, Quirks has a switch: whoever depends on
// the answer can be tested against both. Nobody has compared it with a live
// account.
//
// It is strict where Docusign may be lenient: a wrong value is refused, while a
// parameter that nobody knows is ignored. It simplifies where nothing of ours
// depends on it: groups, permission profiles and envelopes are absent, and a
// caller who is not among an account's users counts as an administrator there
// unless the account is for members only.
package docusigntest
