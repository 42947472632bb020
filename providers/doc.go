// Package providers holds one folder for each vendor whose models OmniChat can
// ask, the built-in demo, and in providertest the suite that all of them pass.
package providers
