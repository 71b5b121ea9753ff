package dashboard

// Route is one line of the table of pages, for the tests of authorisation.
type Route struct {
	Pattern string
	Role    string // "" = open to everybody
}

// Table is every page and action there is.
func (d *Dashboard) Table() []Route {
	var all []Route
	for _, r := range d.table {
		all = append(all, Route{r.pattern, map[role]string{viewer: "viewer", editor: "editor", admin: "admin"}[r.need]})
	}
	return all
}
