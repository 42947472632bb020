package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/omnichat/omnichat/hub"
)

const password = "correct horse"

// An account is a user who is logged in.
type account struct {
	name    string
	token   string
	session string // the last one of its history, if it was given one
}

// register makes a user and logs it in. Both cost the server a password hash,
// which is why a run has few users.
func register(ctx context.Context, base, name string) (*account, error) {
	a := &account{name: name}
	if err := a.call(ctx, http.MethodPost, base+"/users", map[string]string{"username": name, "password": password}, nil); err != nil {
		return nil, err
	}
	return a, a.logIn(ctx, base)
}

func (a *account) logIn(ctx context.Context, base string) error {
	form := url.Values{"username": {a.name}, "password": {password}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var out struct {
		AccessToken string `json:"access_token"`
	}
	err = do(req, &out)
	a.token = out.AccessToken
	return err
}

// request is one of the account's.
func (a *account) request(ctx context.Context, method, url string, body any) (*http.Request, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	return req, nil
}

// call makes a request of the account's, as do does.
func (a *account) call(ctx context.Context, method, url string, body, into any) error {
	req, err := a.request(ctx, method, url, body)
	if err != nil {
		return err
	}
	return do(req, into)
}

// page is an answer that is not JSON.
type page string

// do makes a request that must succeed; into may be nil.
func do(req *http.Request, into any) error {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s: %.300s", res.Status, b)
	}
	switch into := into.(type) {
	case nil:
	case *page:
		*into = page(b)
	default:
		if err == nil {
			err = json.Unmarshal(b, into)
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	return nil
}

// draft is the question whose answer the stream is.
func draft(s *stream) map[string]string {
	s.id = hub.NewID()
	return map[string]string{"content": question(s), "model": model, "answer_id": s.id}
}

// ask asks a stream's question and hangs up; the answer goes on.
func (a *account) ask(ctx context.Context, base string, s *stream) error {
	s.account = a
	req, err := a.request(ctx, http.MethodPost, base+"/chat/stream", draft(s))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	for {
		line, err := in.ReadString('\n')
		if err != nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("ask: %s: %s %w", res.Status, line, err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var e struct {
				SessionID string `json:"session_id"`
			}
			err := json.Unmarshal([]byte(data), &e)
			s.session = e.SessionID
			return err
		}
	}
}

// stored holds the history's text of a stream against what the provider sent.
func (a *account) stored(ctx context.Context, base string, s *stream) error {
	var page hub.MessageChanges
	if err := a.call(ctx, http.MethodGet, base+"/sessions/"+s.session+"/messages", nil, &page); err != nil {
		return err
	}
	for _, m := range page.Items {
		if string(m.ID) != s.id {
			continue
		}
		n := int64(0)
		for text := m.Content; len(text) >= tokenSize && tokenNumber(text) == n; text = text[tokenSize:] {
			n++
		}
		if sent := s.sent.Load(); n != sent || int64(len(m.Content)) != sent*tokenSize || m.Status != hub.StatusComplete {
			return fmt.Errorf("of %d tokens the history has %d and %d bytes, %s", sent, n, len(m.Content), m.Status)
		}
		return nil
	}
	return fmt.Errorf("answer %s is not in the history", s.id)
}
