package api

import (
	"net/http"
	"time"
)

// trendDays is how far back history goes unless somebody asks for more.
const trendDays = 90

func (a *API) getTrend(w http.ResponseWriter, r *http.Request) error {
	since := time.Now().AddDate(0, 0, -trendDays)
	if s := r.URL.Query().Get("since"); s != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, s); err != nil {
			return invalid("since is not a time: %s", shorten(s)).WithRemedy("write it as 2026-03-01T00:00:00Z")
		}
	}
	points, err := a.store.Trend(r.Context(), since)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, points)
}
