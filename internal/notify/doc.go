// Package notify tells people what changed: events become messages to Slack, to a
// webhook or by mail. In flow the ledger's news and the channels' rules; out flow
// drafts into the ledger's outbox, and from there one request for each message.
//
// A flaw is told once to a channel, for the whole fleet. A message is sent at least
// once: it is repeated only when its receipt could not be written, under the same id.
//
// It must never show an address or a secret of a channel, in an error or a log, follow
// a redirect, reach a link-local address, or let text from an image act as markup.
package notify
