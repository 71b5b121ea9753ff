package inventory

import "context"

// Classes of request, as Tally.Requests counts them.
const (
	RequestPing         = "ping"
	RequestAQL          = "aql"
	RequestCatalog      = "catalog"
	RequestTags         = "tags"
	RequestManifest     = "manifest"
	RequestConfig       = "config"
	RequestBlob         = "blob"
	RequestRepositories = "repositories"
	RequestToken        = "token"
	RequestOther        = "other"
)

type requestClassKey struct{}

// WithRequestClass marks the requests made under ctx, where their address does
// not tell what they are for: an image's configuration is a blob like a layer.
func WithRequestClass(ctx context.Context, class string) context.Context {
	return context.WithValue(ctx, requestClassKey{}, class)
}

// RequestClass is the class that ctx was marked with, or "".
func RequestClass(ctx context.Context) string {
	class, _ := ctx.Value(requestClassKey{}).(string)
	return class
}
