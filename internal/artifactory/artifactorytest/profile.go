package artifactorytest

import "time"

// Profile is a kind of installation.
type Profile string

// The profiles. The zero value is V7.
const (
	V6    Profile = "6.x"   // self-hosted Pro 6.20
	V7    Profile = "7.x"   // self-hosted Pro 7.161
	OSS   Profile = "oss"   // open source 7.77: no sort, no webhooks
	JCR   Profile = "jcr"   // container registry 7.77
	Cloud Profile = "cloud" // SaaS: redirects, caps, open ping
)

// Profiles returns all of them, for tests that run on each.
func Profiles() []Profile { return []Profile{V6, V7, OSS, JCR, Cloud} }

// Switches returns how such an installation behaves out of the box.
func (p Profile) Switches() Switches {
	sw := seven()
	switch p {
	case V6:
		six(&sw)
	case OSS, JCR:
		sw.Version, sw.Revision = "7.77.5", "77705900"
		sw.License, sw.ProREST = false, false
		sw.NoSort = true
		sw.Webhooks = false
		sw.Referrers, sw.FilterDigests = false, false
		sw.AQLParallel = 0
	case Cloud:
		sw.Version, sw.Revision = "7.166.0", "86600900"
		sw.PingOpen = true
		sw.NumericLast = true
		sw.StrictTypePath = true
		sw.Redirects = true
		sw.AQLMaxRows = 500_000
		sw.PrivateTargets = true
	}
	return sw
}

func seven() Switches {
	return Switches{
		Version: "7.161.20", Revision: "86120900", License: true,
		Router: true, ReferenceTokens: true, OCI: true, ProREST: true,
		Context: "/artifactory", Access: PathAccess,
		LockAfter: 3, LockFor: 9 * time.Second, LockWords: "request failures",
		TokenExpiresIn: 9000,
		PrivateTargets: true, Webhooks: true, Envelope: EnvelopeNew,
		LinkWithoutKey: true, FilterDigests: true, LingeringImages: true, Referrers: true,
		RedirectExpiry: 30 * time.Second, RedirectStatus: 302,
		AQLParallel: 3, AQLPending: 10 * time.Second, AQLDepth: true, PropsModified: true,
		Zone: time.UTC, Overwrite: OverwriteInPlace, RevalidateAfter: 6 * time.Hour,
	}
}

func six(sw *Switches) {
	sw.Version, sw.Revision = "6.20.0", "62000900"
	sw.Router, sw.ReferenceTokens, sw.OCI = false, false, false
	sw.PingBody = "{}"
	sw.LockWords = "login failures"
	sw.TokenExpiresIn = 3600
	sw.Webhooks, sw.Referrers, sw.FilterDigests = false, false, false
	sw.RealmPath = "/artifactory/api/docker/null/v2/token"
	sw.AQLParallel, sw.AQLDepth, sw.PropsModified = 0, false, false
	sw.Zone = time.FixedZone("", 2*60*60)
}
