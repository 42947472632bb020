package hub

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// EndpointsMax is how many endpoints one user may own.
const EndpointsMax = 20

// Endpoint is a provider that was added in the page: a vendor's kind, where it
// is and the key for it.
type Endpoint struct {
	Name      string    // the provider's, as in "name/model"
	Kind      string    // openai, anthropic, gemini or ollama
	BaseURL   string    // "" for the vendor's own
	APIKey    string    // never given out, never logged
	Owner     UserID    // whose alone it is; "" if everyone may ask it
	UpdatedAt time.Time // tells a changed one from the one before
}

// EndpointSource is where a provider was set up.
type EndpointSource string

// The sources of a provider.
const (
	FromSettings EndpointSource = "settings" // of the server
	FromAdmin    EndpointSource = "admin"    // in the page, for everyone
	FromUser     EndpointSource = "user"     // in the page, for the user alone
)

// EndpointInfo is what is told of a provider that is set up.
type EndpointInfo struct {
	Name    string         `json:"name"`
	Kind    string         `json:"kind"`
	BaseURL string         `json:"base_url"` // only to who has set it up
	Source  EndpointSource `json:"source"`
	HasKey  bool           `json:"has_key"`
	Error   *ListFailure   `json:"error"` // why its models are not listed; nil if they are
}

// ValidEndpointName says whether a provider may be called so.
func ValidEndpointName(name string) bool {
	if name == "" || len(name) > 40 {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// BaseURLRule says in words what [ValidBaseURL] takes.
const BaseURLRule = "a URL such as https://api.example.org/v1, without a name, password, query or fragment"

// ValidBaseURL says whether requests can be sent below a URL. All who may see the
// provider see it: nothing secret may be in it.
func ValidBaseURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && u.RawQuery == "" && !u.ForceQuery && !strings.Contains(s, "#")
}
