package artifactory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// PropertiesChanged lists tags whose properties changed since a time of the
// server's. A promotion or a copy keeps every other date of its source; this one
// is new, because the registry writes its own properties on the copy. Not ok: the
// registry cannot be asked for it (6.x, other registries, no queries).
func (c *Client) PropertiesChanged(ctx context.Context, keys []inventory.RepositoryKey, since time.Time) (tags []inventory.Sighting, ok bool, err error) {
	keys = slices.DeleteFunc(slices.Clone(keys), func(r inventory.RepositoryKey) bool { return !r.OK })
	if len(keys) == 0 {
		return nil, true, nil
	}
	if c.opts.Kind == inventory.KindOCI || c.cred.kind == noSecret || c.withoutAQL() {
		return nil, false, nil
	}
	for _, field := range propsModified {
		l := Listing{Complete: map[string]bool{}, Problems: map[string]error{}}
		err = c.listByAQL(ctx, Ask{Keys: keys, Since: since, props: field}, &l)
		if !errors.Is(err, errNoAQL) {
			return l.Tags, err == nil, err
		}
	}
	c.opts.Logger.InfoContext(ctx, "the registry does not say when copies were made", "host", c.addr.Host, "error", err)
	return nil, false, nil
}

// propsModified are the names by which versions may know the date of the last
// change of properties.
var propsModified = []string{"infos.props_modified", "item.infos.props_modified", "props_modified"}
