package hub

// Price is what a model costs, in US dollars for a million tokens.
type Price struct {
	Input       float64 `json:"input"`
	CachedInput float64 `json:"cached_input"` // for input read from the provider's cache
	Output      float64 `json:"output"`
}

// Cost is what a usage costs at this price.
func (p Price) Cost(u Usage) Money {
	fresh := max(0, u.InputTokens-u.CachedTokens)
	return Dollars((float64(fresh)*p.Input + float64(u.CachedTokens)*p.CachedInput + float64(u.OutputTokens)*p.Output) / 1e6)
}

// ModelPrice is an entry of the table of prices.
type ModelPrice struct {
	Model  string `json:"model"`  // a model's name, or how it begins, without a provider; or "provider/model"
	Custom bool   `json:"custom"` // set by the admin; otherwise it ships with OmniChat
	Price
}
