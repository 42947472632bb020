package wire

import (
	"net/http"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// The bodies are as the vendors' pages and users' reports have them.
func TestErrorsOfVendors(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   hub.Code
		wait   time.Duration
	}{
		"OpenAI, wrong key":             {401, `{"error":{"message":"Incorrect API key provided: sk-1.","type":"invalid_request_error","code":"invalid_api_key"}}`, hub.CodeProviderAuth, 0},
		"OpenAI, unsupported parameter": {400, `{"error":{"message":"Unsupported value: 'temperature'","type":"invalid_request_error","code":"unsupported_value"}}`, hub.CodeProviderInvalid, 0},
		"Azure, filter":                 {400, `{"error":{"message":"The response was filtered due to Azure OpenAI's content management policy.","code":"content_filter","status":400}}`, hub.CodeContentFilter, 0},
		"Anthropic, credit":             {400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`, hub.CodeProviderQuota, 0},
		"Anthropic, answer too long":    {400, `{"type":"error","error":{"type":"invalid_request_error","message":"input length and max_tokens exceed context limit: 190000 + 20000 > 200000"}}`, hub.CodeContextLength, 0},
		"Gemini, wrong key":             {400, `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}`, hub.CodeProviderAuth, 0},
		"Gemini, by the minute":         {429, `{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},{"retryDelay":"37.5s"}]}}`, hub.CodeProviderRateLimit, 37500 * time.Millisecond},
		"Gemini, by the day":            {429, `{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]}}`, hub.CodeProviderQuota, 0},
		"Gemini, not in this country":   {400, `{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}`, hub.CodeProviderPermission, 0},
		"Ollama, no such model":         {404, `{"error":"model \"x\" not found, try pulling it first"}`, hub.CodeModelNotFound, 0},
		"Ollama, busy":                  {503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`, hub.CodeProviderOverloaded, 0},
		"OpenRouter, no credit":         {402, `{"error":{"code":402,"message":"Insufficient credits"}}`, hub.CodeProviderQuota, 0},
		"OpenRouter, moderation":        {403, `{"error":{"code":403,"message":"openai/gpt requires moderation. Your input was flagged for violence","metadata":{"reasons":["violence"]}}}`, hub.CodeContentFilter, 0},
		"OpenRouter, what others said":  {400, `{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"{\"error\":\"prompt is too long\"}"}}}`, hub.CodeContextLength, 0},
		"DeepSeek, no balance":          {402, `{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}`, hub.CodeProviderQuota, 0},
		"xAI, wrong key":                {400, `{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***1."}`, hub.CodeProviderAuth, 0},
		"vLLM, too long":                {400, `{"object":"error","message":"This model's maximum context length is 2048 tokens.","type":"BadRequestError","code":400}`, hub.CodeContextLength, 0},
		"Mistral, wrong key":            {401, `{"message":"Unauthorized","request_id":"1"}`, hub.CodeProviderAuth, 0},
		"FastAPI":                       {422, `{"detail":[{"loc":["body"],"msg":"field required"}]}`, hub.CodeProviderInvalid, 0},
		"llama.cpp, too long":           {400, `{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}`, hub.CodeContextLength, 0},
		"Groq, too large":               {413, `{"error":{"message":"Request too large for model on tokens per minute (TPM)","type":"tokens","code":"rate_limit_exceeded"}}`, hub.CodeContextLength, 0},
		"Go's mux":                      {404, "404 page not found\n", hub.CodeProviderAddress, 0},
		"FastAPI, no such path":         {404, `{"detail":"Not Found"}`, hub.CodeProviderAddress, 0},
		"Spring, no such path":          {404, `{"timestamp":"2026-01-01","status":404,"error":"Not Found","path":"/chat/completions"}`, hub.CodeProviderAddress, 0},
		"Express, no such path":         {404, `<!DOCTYPE html><pre>Cannot POST /chat/completions</pre>`, hub.CodeProviderAddress, 0},
		"nginx, no such path":           {404, `<html><head><title>404 Not Found</title></head></html>`, hub.CodeProviderAddress, 0},
		"Kong, no such path":            {404, `{"message":"no Route matched with those values"}`, hub.CodeProviderAddress, 0},
		"llama.cpp, no such path":       {404, `{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}`, hub.CodeProviderAddress, 0},
		"OpenAI, no such path":          {404, `{"error":{"message":"Invalid URL (POST /v1/v1/chat/completions)","type":"invalid_request_error","param":null,"code":null}}`, hub.CodeProviderAddress, 0},
		"Anthropic, no such path":       {404, `{"type":"error","error":{"type":"not_found_error","message":"Not Found"}}`, hub.CodeProviderAddress, 0},
		"a 404 without a body":          {404, ``, hub.CodeProviderAddress, 0},
		"Anthropic, no such model":      {404, `{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}`, hub.CodeModelNotFound, 0},
		"Gemini, no such model":         {404, `{"error":{"code":404,"message":"models/x is not found for API version v1beta","status":"NOT_FOUND"}}`, hub.CodeModelNotFound, 0},
		"vLLM, no such model":           {404, `{"object":"error","message":"The model x does not exist.","type":"NotFoundError","code":404}`, hub.CodeModelNotFound, 0},
		"text, no such model":           {404, `model x not found`, hub.CodeModelNotFound, 0},
		"FastAPI, no such model":        {404, `{"detail":"Model not found"}`, hub.CodeModelNotFound, 0},
		"no body":                       {500, ``, hub.CodeProviderError, 0},
		"a list of nothing":             {500, `[]`, hub.CodeProviderError, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := statusError(&http.Response{StatusCode: tt.status, Header: http.Header{}}, []byte(tt.body))
			if got.Code != tt.want || got.RetryAfter != tt.wait || got.Msg == "" {
				t.Errorf("got %+v, want %s and a wait of %s", got, tt.want, tt.wait)
			}
		})
	}
}

func TestAnErrorWithItsContextIsNotRepeated(t *testing.T) {
	long := statusError(&http.Response{StatusCode: 500, Header: http.Header{}}, []byte(`{"error":"prompt is too long"}`))
	if Retryable(long) {
		t.Error("a conversation that is too long stays so")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		status int
		header map[string]string
		want   time.Duration
	}{
		"nothing":                   {429, nil, 0},
		"seconds":                   {429, map[string]string{"Retry-After": "7"}, 7 * time.Second},
		"fractions":                 {429, map[string]string{"Retry-After": "0.5"}, 500 * time.Millisecond},
		"negative":                  {429, map[string]string{"Retry-After": "-1"}, 0},
		"nonsense":                  {429, map[string]string{"Retry-After": "x"}, 0},
		"a date":                    {503, map[string]string{"Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT"}, 30 * time.Second},
		"a date gone by":            {503, map[string]string{"Retry-After": "Wed, 31 Dec 2025 00:00:00 GMT"}, 0},
		"milliseconds first":        {429, map[string]string{"Retry-After": "7", "Retry-After-Ms": "1500"}, 1500 * time.Millisecond},
		"OpenRouter's time":         {429, map[string]string{"X-Ratelimit-Reset": "1767225605000"}, 5 * time.Second},
		"a time in seconds":         {429, map[string]string{"X-Ratelimit-Reset": "1767225605"}, 5 * time.Second},
		"OpenAI's, used up":         {429, map[string]string{"X-Ratelimit-Remaining-Tokens": "0", "X-Ratelimit-Reset-Tokens": "6m0s", "X-Ratelimit-Remaining-Requests": "5", "X-Ratelimit-Reset-Requests": "1h"}, 6 * time.Minute},
		"Anthropic's":               {429, map[string]string{"Anthropic-Ratelimit-Requests-Remaining": "0", "Anthropic-Ratelimit-Requests-Reset": "2026-01-01T00:00:09Z"}, 9 * time.Second},
		"a limit that was not hit":  {500, map[string]string{"X-Ratelimit-Reset": "5"}, 0},
		"a number beyond all times": {429, map[string]string{"Retry-After": "1e300"}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			for k, v := range tt.header {
				h.Set(k, v)
			}
			if got := retryAfter(tt.status, h, now); got != tt.want {
				t.Errorf("retryAfter = %s, want %s", got, tt.want)
			}
		})
	}
}
