package hub

import "testing"

func TestValidBaseURL(t *testing.T) {
	for in, want := range map[string]bool{
		"https://api.example.org": true, "http://192.168.1.7:11434/v1": true, "https://api.example.org/v1/": true, "HTTPS://api.example.org": true,
		"ftp://example.org": false, "example.org/v1": false, "//example.org": false, "https://": false, "https://:443": false,
		"https://example.org:8443/v1": true, "https://example.org:99999": false, "https://example.org:0": false,
		"https://ann:secret@example.org": false, "https://example.org?key=1": false, "https://example.org?": false,
		"https://example.org#x": false, "https://example.org/#": false, "javascript:alert(1)": false, "https://exa mple.org": false, "": false,
	} {
		if got := ValidBaseURL(in); got != want {
			t.Errorf("ValidBaseURL(%q) = %v", in, got)
		}
	}
}
