// Package dashboardtest looks at pages as people do: in headless Chromium, which the
// machine has to have. It is for tests alone.
package dashboardtest

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Chromium starts a browser with a profile of its own, or skips the test and says what
// to install. On CI it must be there.
func Chromium(t *testing.T) context.Context {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		const missing = "no Chromium: install Debian's package chromium to run the browser tests"
		if slices.Contains(os.Environ(), "CI=true") {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	// The browser lives as long as the context of its first step: that one gets no limit.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return ctx
}

// Complaints collects what the browser's console says against the pages.
type Complaints struct {
	mu   sync.Mutex
	list []string
}

// Take answers what was said so far.
func (c *Complaints) Take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list
}

// Listen begins to collect them.
func Listen(ctx context.Context) *Complaints {
	c := &Complaints{}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				c.mu.Lock()
				c.list = append(c.list, m.String())
				c.mu.Unlock()
			}
		}
	}()
	return c
}

// Step is one thing that somebody does.
type Step = chromedp.Action[chromedp.Void]

// Click clicks on the first match of a selector.
func Click(sel string) Step { return chromedp.Click(chromedp.CSS(sel)) }

// See waits until something is to be seen.
func See(sel string) Step { return chromedp.WaitVisible(chromedp.CSS(sel)) }

// Enter types into a field.
func Enter(sel, s string) Step { return chromedp.SendKeys(chromedp.CSS(sel), s) }

// Do takes steps one after the other, each within a time that a person would wait.
func Do(t *testing.T, ctx context.Context, what string, steps ...Step) { //nolint:revive // t comes first in a test's helper
	t.Helper()
	for i, one := range steps {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := chromedp.Do(ctx, one)
		cancel()
		if err != nil {
			t.Fatalf("%s, step %d: %v", what, i+1, err)
		}
	}
}

// Text is what selector shows, if it is there within two seconds: chromedp waits for ever.
func Text(ctx context.Context, selector string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector)))
}

// Says waits until what selector shows contains want and nothing of not: a click
// returns before the page it leads to is there, and the old one may look much the same.
func Says(t *testing.T, ctx context.Context, selector, want string, not ...string) { //nolint:revive // t comes first in a test's helper
	t.Helper()
	var got string
	var err error
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		got, err = Text(ctx, selector)
		holds := func(s string) bool { return strings.Contains(got, s) }
		if err == nil && holds(want) && !slices.ContainsFunc(not, holds) {
			return
		}
	}
	t.Fatalf("%s says %q (error %v), not %q without %q", selector, got, err, want, not)
}
