// Package providers holds one folder for each vendor whose models OmniChat can
// ask, the built-in demo, and in providertest the suite that all of them pass.
//
// A vendor's folder has what is its own: the request and the decoder of its events. What
// vendors share is in internal/wire (HTTP, event streams, errors, waiting) and
// internal/chat (the dialect of OpenAI's chat completions). Thinking that stands in the
// text between tags is told as such by internal/wire: at the beginning of an answer, and
// where a closing tag stands alone on its line, outside of code, and no tag has opened it,
// because the opening one was in the prompt. What came before is then told to have been
// thinking, and the model's next answers begin as thinking, until one has no such tag. The fakes
// in providertest/fake speak each vendor's wire format.
package providers
