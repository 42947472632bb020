package hub

import (
	"context"
	"encoding/json"
	"iter"
	"net/url"
	"strings"

	"github.com/omnichat/omnichat/hub/picture"
)

// A Provider answers prompts with one vendor's models.
//
// Stream yields deltas until the answer ends. The last delta of a whole answer
// has a Finish; without one the answer counts as broken off. A failure is the
// last pair it yields, as an *[Error]. Once ctx ends or the caller stops
// ranging, Stream has let go of its connection before it returns. All methods may
// be called concurrently.
type Provider interface {
	Stream(ctx context.Context, p Prompt) iter.Seq2[Delta, error]
	// Models lists what can be asked. Model.ID has no provider prefix here.
	Models(ctx context.Context) ([]Model, error)
}

// A Describer is a Provider that can say of one model what it can do and which
// context it has just now. A Model without an ID says no more than the list does.
type Describer interface {
	Describe(ctx context.Context, model string) (Model, error)
}

// Vendor is a provider as it is set up.
type Vendor struct {
	Provider
	Owner   UserID // whose alone it is; "" if everyone may ask it
	Address string // where it is asked; "" if nowhere
	Images  picture.Limit
}

// at says whether a vendor is asked at a host, or at one of a region of it.
func (v Vendor) at(host string) bool {
	u, err := url.Parse(v.Address)
	return err == nil && host != "" && (u.Hostname() == host || strings.HasSuffix(u.Hostname(), "."+host))
}

// Vendors finds the providers there are, by their names.
type Vendors interface {
	// For returns those that the user may ask.
	For(ctx context.Context, user UserID) (map[string]Vendor, error)
}

// Fixed is [Vendors] of the same providers for everyone.
type Fixed map[string]Provider

// For is Vendors'.
func (f Fixed) For(context.Context, UserID) (map[string]Vendor, error) {
	all := map[string]Vendor{}
	for name, p := range f {
		all[name] = Vendor{Provider: p}
	}
	return all, nil
}

// Model is something that can be asked. A provider says what it knows; the hub
// completes that from its [Catalog].
type Model struct {
	ID        string `json:"id"` // "provider/model" outside of a Provider
	Provider  string `json:"provider"`
	Name      string `json:"name"`
	Context   int64  `json:"context"`   // tokens of question and answer together; 0: unknown
	Vision    *bool  `json:"vision"`    // sees images; nil: unknown
	Reasoning bool   `json:"reasoning"` // takes a reasoning effort
	Price     *Price `json:"price"`     // nil: unknown

	// OwnContext says that the context is set where the model runs, and not by its
	// name: what the catalog has does not count, even where it is unknown.
	OwnContext bool `json:"-"`
	// Thoughtless says that the provider lists it as one that does not reason.
	Thoughtless bool `json:"-"`
}

// Image is a picture in a turn.
type Image struct {
	MediaType string // image/png, image/jpeg, image/gif or image/webp
	Data      []byte
}

// Turn is one message as a provider gets it.
type Turn struct {
	Role    MessageRole
	Content string
	Images  []Image

	// Of an answer of the same provider and model: its thinking, and what the
	// provider sent to be replayed as it is, in the order it came.
	Reasoning string
	Opaque    []json.RawMessage

	Calls []Call // of tools that the model made in this turn, with what it reads of each
}

// Prompt is what a provider is asked.
type Prompt struct {
	Model           string // without the provider's prefix
	Turns           []Turn // a system prompt comes first
	Temperature     *float64
	TopP            *float64
	MaxTokens       *int   // of the answer
	ReasoningEffort string // low, medium, high or off; "" for the model's own
}

// EffortOff asks a model that can think not to.
const EffortOff = "off"

// Delta is one step of an answer. Exactly one field is set, but a Finish may
// come with Usage.
type Delta struct {
	Text      string
	Reasoning string
	Tool      *ToolDelta
	Past      Kind            // what Stream has told so far was all of this kind; "" if nothing is said of it
	Opaque    json.RawMessage // to be kept with the answer, and replayed in Turn.Opaque
	Usage     *Usage          // the last one counts
	Finish    Reason          // stop, length, content_filter or tool_calls
}

// ToolDelta is a part of a call of a tool that the model wants made.
type ToolDelta struct {
	Index     int    // which of the answer's calls
	ID        string // the first one counts
	Name      string // the first one counts
	Arguments string // added to what came before
}

// ImageLimiter is a [Provider] whose vendor refuses some images.
type ImageLimiter interface{ ImageLimit() picture.Limit }
