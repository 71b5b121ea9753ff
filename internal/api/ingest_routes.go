package api

import "github.com/tallyman-dev/tallyman/internal/inventory"

// ingestRoutes are for far watchers, with tokens of scope ingest. Every call carries the
// headers Tallyman-Ingest and Tallyman-Holder; bodies may be compressed.
func ingestRoutes() []route {
	return append(ingestLookRoutes(), ingestImageRoutes()...)
}

func ingestLookRoutes() []route {
	const watcher, one = "/api/v1/ingest/{watcher}", "/api/v1/ingest/{watcher}/integrations/{name}"
	return []route{
		{
			method: "POST", path: watcher, need: Ingest, summary: "A watcher begins its work, or lives on; the answer says how things are",
			body: inventory.WatcherHello{}, status: 200, reply: inventory.WatcherState{}, serve: far((*ingest).hello),
		},
		{
			method: "DELETE", path: watcher, need: Ingest, summary: "A watcher ends; its name is free at once",
			status: 204, serve: far(silent((*ingest).free)),
		},
		{
			method: "GET", path: watcher + "/status", need: Ingest, summary: "The coverage ledger of the watcher's integrations",
			status: 200, reply: inventory.Status{}, serve: far((*ingest).status),
		},
		{
			method: "PUT", path: one, need: Ingest, summary: "Register an integration that the watcher watches, without its credentials",
			body: inventory.Registration{}, status: 200, reply: inventory.Watched{}, serve: far((*ingest).register),
		},
		{
			method: "POST", path: one + "/looks", need: Ingest, summary: "Record what one look at the registry saw",
			body: inventory.LookReport{}, status: 200, reply: inventory.LookTaken{}, serve: far((*ingest).look),
		},
		{
			method: "GET", path: one + "/tags", need: Ingest, summary: "The tags that the ledger believes are there, one a line",
			query:  []parameter{{"repository", "string", false, "repository key; none = all"}},
			status: 200, reply: []inventory.LiveTag{}, lines: true, serve: far((*ingest).liveTags),
		},
		{
			method: "GET", path: one + "/images", need: Ingest, summary: "The integration's tags with what is known of their images, by page",
			query: []parameter{
				{"state", "string", false, "waiting, analysed, failed or unsupported"},
				{"after", "string", false, "cursor: next of the page before"},
			},
			status: 200, reply: inventory.TagPage{}, serve: far((*ingest).images),
		},
		{
			method: "GET", path: one + "/baseline", need: Ingest, summary: "What was there before watching began, one a line",
			status: 200, reply: []inventory.LiveTag{}, lines: true, serve: far((*ingest).baseline),
		},
		{
			method: "PUT", path: one + "/keys", need: Ingest, summary: "Record how each repository fares",
			body: []inventory.RepositoryKey{}, status: 204, serve: far(silent((*ingest).saveKeys)),
		},
		{
			method: "PUT", path: one + "/state", need: Ingest, summary: "Record how the integration fares",
			body: inventory.IntegrationHealth{}, status: 204, serve: far(silent((*ingest).setState)),
		},
		{
			method: "POST", path: one + "/hints", need: Ingest, summary: "Keep hints of a webhook until a look answers them",
			body: []inventory.Hint{}, status: 200, reply: []inventory.Hint{}, serve: far((*ingest).addHints),
		},
	}
}

func ingestImageRoutes() []route {
	const watcher = "/api/v1/ingest/{watcher}"
	return []route{
		{
			method: "POST", path: watcher + "/errands", need: Ingest, summary: "Take images to index",
			body: inventory.ErrandsAsked{}, status: 200, reply: []inventory.Errand{}, serve: far((*ingest).errands),
		},
		{
			method: "POST", path: watcher + "/outcomes", need: Ingest, summary: "Tell what became of an image that was taken",
			body: inventory.Outcome{}, status: 200, reply: inventory.OutcomeTaken{}, serve: far((*ingest).outcome),
		},
		{
			method: "POST", path: watcher + "/layers/missing", need: Ingest, summary: "Which of these layers nobody has read or reads; they are leased to the watcher for 45 seconds",
			body: inventory.LayersAsked{}, status: 200, reply: []string{}, serve: far((*ingest).missingLayers),
		},
		{
			method: "POST", path: watcher + "/layers/bodies", need: Ingest, summary: "The records of these layers, those that are known",
			body: inventory.LayersAsked{}, status: 200, reply: map[string][]byte{}, serve: far((*ingest).layerBodies),
		},
		{
			method: "POST", path: watcher + "/layers", need: Ingest, summary: "Record what a layer holds that was leased to the watcher",
			body: inventory.LayerRecord{}, status: 204, serve: far(silent((*ingest).saveLayer)),
		},
		{
			method: "POST", path: watcher + "/blobs", need: Ingest, summary: "Which diff ID somebody found in each of these blobs",
			body: inventory.LayersAsked{}, status: 200, reply: map[string]string{}, serve: far((*ingest).verified),
		},
		{
			method: "POST", path: watcher + "/chains", need: Ingest, summary: "Which of these stacks of layers are known",
			body: inventory.LayersAsked{}, status: 200, reply: map[string]bool{}, serve: far((*ingest).knownChains),
		},
		{
			method: "POST", path: watcher + "/images", need: Ingest, summary: "Record an image and the stacks of layers that were not known",
			body: inventory.ImageReport{}, status: 204, serve: far(silent((*ingest).saveImage)),
		},
	}
}
