// Package providers holds one folder for each vendor whose models OmniChat can
// ask, the built-in demo, and in providertest the suite that all of them pass.
//
// A vendor's folder has what is its own: the request and the decoder of its events. What
// vendors share is in internal/wire (HTTP, event streams, errors, waiting) and
// internal/chat (the dialect of OpenAI's chat completions). Thoughts that stand in
// tags in a text are found in internal/wire: opening.go, and closing.go where nothing opens them. The fakes
// in providertest/fake speak each vendor's wire format.
package providers
