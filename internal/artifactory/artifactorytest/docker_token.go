package artifactorytest

import (
	"net/http"
	"time"
)

// maxDockerTokens bounds the tokens kept for clients that never reuse one.
const maxDockerTokens = 20_000

// dockerToken answers the token endpoint. It looks at no scope: what the
// bearer may do is decided where it is used.
func (c *call) dockerToken() {
	if !c.plainAccept() {
		return
	}
	id, no := c.s.authenticate(c.r, &c.sw, true)
	if no != nil {
		c.refuse(no, basicChallenge)
		return
	}
	life := time.Duration(c.sw.TokenExpiresIn) * time.Second
	if life == 0 {
		life = time.Minute
	}
	secret := "eyJ2ZXIiOiIy" + randomLetters(300)
	now := c.start
	c.s.mu.Lock()
	if len(c.s.tokens) > maxDockerTokens {
		c.s.dropDockerTokens(now)
	}
	c.s.tokens[secret] = &token{user: id.name, subject: id.name, docker: true, expires: now.Add(life)}
	c.s.mu.Unlock()
	answer := map[string]any{"token": secret}
	if c.sw.TokenExpiresIn > 0 {
		answer["expires_in"] = c.sw.TokenExpiresIn
	}
	c.json(http.StatusOK, "application/json", answer)
}

// dropDockerTokens forgets those that are expired. Callers hold the lock.
func (s *Server) dropDockerTokens(now time.Time) {
	for secret, t := range s.tokens {
		if t.docker && t.expires.Before(now) {
			delete(s.tokens, secret)
		}
	}
}
