package dashboard

import (
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// routes is every page and action, with the role that it asks for.
func (d *Dashboard) routes() {
	d.open("GET /signin", d.signinPage)
	d.open("POST /signin", d.signin)
	d.open("GET /signin/openid", d.toProvider)
	d.open("GET /signin/openid/back", d.fromProvider)
	d.open("GET /signin/{secret}", d.signinLink)
	d.open("GET /setup/{secret}", d.setupPage)
	d.open("POST /setup/{secret}", d.setup)
	d.open("POST /signout", d.signout)
	d.open("POST /theme", d.setTheme)

	d.routesOfFleet()
	d.routesOfHub()
	d.routesOfSettings()
	d.page("/", viewer, func(http.ResponseWriter, *http.Request, visit) error {
		return inventory.Errorf(inventory.ErrNotFound, "there is no such page")
	})
}

// routesOfFleet are the pages that show what is known.
func (d *Dashboard) routesOfFleet() {
	d.page("GET /{$}", viewer, d.overview)
	d.page("GET /search", viewer, d.search)
	d.page("GET /images", viewer, d.images)
	d.page("GET /repository", viewer, d.repository)
	d.page("GET /image", viewer, d.image)
	d.page("GET /compare", viewer, d.compare)
	d.page("GET /vulnerabilities", viewer, d.vulnerabilities)
	d.page("GET /vulnerability", viewer, d.vulnerability)
	d.page("GET /packages", viewer, d.packagesOfFleet)
	d.page("GET /bases", viewer, d.bases)
	d.page("GET /base", viewer, d.base)
	d.page("GET /find", viewer, d.find)
	d.page("GET /activity", viewer, d.activity)
	d.page("POST /activity/retry", editor, d.retry)
	d.page("POST /activity/jobs/{id}/retry", editor, d.retryJob)
	d.page("GET /live", viewer, d.live)
}

// routesOfHub are the pages that connect registries.
func (d *Dashboard) routesOfHub() {
	d.page("GET /integrations", viewer, d.integrations)
	d.page("GET /connect", editor, d.connectPage)
	d.page("POST /connect", editor, d.connect)
	d.page("GET /integrations/{name}", editor, d.editPage)
	d.page("POST /integrations/{name}", editor, d.edit)
	d.page("POST /integrations/{name}/test", editor, d.testCard)
	d.page("POST /integrations/{name}/pause", editor, d.pause)
	d.page("POST /integrations/{name}/resume", editor, d.resume)
	d.page("GET /integrations/{name}/progress", viewer, d.discovery)
	d.page("GET /integrations/{name}/progress/live", viewer, d.progressLive)
	d.page("GET /integrations/{name}/sent", editor, d.sent)
	d.page("POST /integrations/{name}/webhook", editor, d.newHookSecret)
	d.page("GET /integrations/{name}/disconnect", editor, d.disconnectPage)
	d.page("POST /integrations/{name}/disconnect", editor, d.disconnect)
	d.page("GET /integrations/{name}/delete", admin, d.deletePage)
	d.page("POST /integrations/{name}/delete", admin, d.delete)
}

// routesOfSettings are the pages of people, machines, channels and decisions.
func (d *Dashboard) routesOfSettings() {
	d.page("GET /settings/notifications", admin, d.notifications)
	d.page("GET /settings/notifications/new", admin, d.newChannelPage)
	d.page("POST /settings/notifications/new", admin, d.saveChannel)
	d.page("POST /settings/notifications/replay", admin, d.replay)
	d.page("GET /settings/notifications/{name}", admin, d.channelPage)
	d.page("POST /settings/notifications/{name}", admin, d.saveChannel)
	d.page("POST /settings/notifications/{name}/test", admin, d.testChannel)
	d.page("POST /settings/notifications/{name}/remove", admin, d.removeChannel)
	d.page("GET /settings/advisories", viewer, d.feeds)
	d.page("POST /settings/advisories/sync", editor, d.syncFeeds)
	d.page("GET /exceptions", viewer, d.exceptions)
	d.page("POST /exceptions", editor, d.except)
	d.page("POST /exceptions/{id}/remove", editor, d.removeException)
	d.page("GET /watches", viewer, d.watches)
	d.page("POST /watches", editor, d.addWatch)
	d.page("POST /watches/{name}/remove", editor, d.removeWatch)
	d.page("GET /settings", viewer, d.settings)
	d.page("GET /settings/account", viewer, d.account)
	d.page("POST /settings/account/password", viewer, d.changePassword)
	d.page("POST /settings/account/sessions", viewer, d.endSessions)
	d.page("GET /settings/users", admin, d.users)
	d.page("POST /settings/users", admin, d.addUser)
	d.page("POST /settings/users/{name}", admin, d.changeUser)
	d.page("GET /settings/users/{name}/remove", admin, d.removeUserPage)
	d.page("GET /settings/tokens", admin, d.tokens)
	d.page("POST /settings/tokens", admin, d.createToken)
	d.page("POST /settings/tokens/{name}/revoke", admin, d.revokeToken)
	d.page("GET /settings/audit", admin, d.audit)
	d.page("GET /settings/redaction", viewer, d.redaction)
}
