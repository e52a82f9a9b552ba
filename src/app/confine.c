/* SPDX-License-Identifier: Apache-2.0 */
/* server.sandbox: what a daemon of this configuration needs, as the lists of the room sandbox. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "api/api.h"
#include "app/app.h"
#include "base/kept.h"
#include "base/log.h"

#define BIT(capability) (1ULL << (capability))

enum { FILES = 12 };

/* What a reload may read again, by setting. Private keys are not among it when another process reads them: then they are in ret_keys. */
static size_t files_of(const struct app *app, const struct config *c, const char *ret[FILES][2], const char *ret_keys[FILES])
{
	const char *const all[FILES][2] = {
		{"tls.certificate", c->tls_certificate}, {"tls.key", c->tls_key},
		{"tls.client-certificate", c->tls_client_certificate}, {"tls.client-key", c->tls_client_key},
		{"tls.trust", c->tls_trust}, {"admin.certificate", c->admin_certificate}, {"admin.key", c->admin_key},
		{"link.certificate", c->link_certificate}, {"link.key", c->link_key}, {"link.trust", c->link_trust},
		{"xmpp.dialback-secret-file", c->xmpp_dialback_secret_file}, {"dns.trust-anchor", c->dns_trust_anchor},
	};
	memcpy(ret, all, sizeof all);
	size_t n = 0;
	for (size_t i = 0; app->keeper && i < FILES; i++) {
		if (!slice_ends(slice_str(ret[i][0]), S("key")))
			continue;
		if (*ret[i][1])
			ret_keys[n++] = ret[i][1];
		ret[i][1] = "";
	}
	return n;
}

/* The settings are committed by renaming (admin/file.h): the folder of the file, where we may write there at all. */
static void config_file(struct sandbox_paths *p, const char *path)
{
	char folder[4200];
	const char *slash = strrchr(path, '/');
	sandbox_paths_file(p, path);
	snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	if (*folder && sandbox_paths_cover(p, folder) && access(folder, W_OK) == 0)
		sandbox_paths_write(p, folder);
}

/* All TCP ports that we listen on; true: one of them is of the privileged sort. */
static bool ports(struct sandbox_paths *p, const struct config *c)
{
	uint64_t list[SANDBOX_PORTS_MAX + 2];
	size_t n = 0;
	struct addr at;
	bool low = false;
#define ALL_OF(record)                                                      \
	for (size_t i = 0; i < c->n_##record && n < SANDBOX_PORTS_MAX; i++) \
	list[n++] = c->record[i].port
	ALL_OF(xmpp_listen);
	ALL_OF(sip_listen);
	ALL_OF(sip_external_listen);
	ALL_OF(msrp_listen);
	ALL_OF(link_listen);
#undef ALL_OF
	if (*c->admin_listen && addr_parse(slice_str(c->admin_listen), API_PORT, &at))
		list[n++] = addr_port(&at);
	if (*c->metrics_listen && !metrics_http_address(c, &at, NULL))
		list[n++] = addr_port(&at);
	for (size_t i = 0; i < n; i++) {
		low |= list[i] && list[i] < 1024;
		if (n <= SANDBOX_PORTS_MAX) /* too many to name: all may */
			sandbox_paths_port(p, (uint16_t)list[i]);
	}
	return low;
}

static bool foreign(const char *path)
{
	struct stat st;
	return *path && !stat(path, &st) && st.st_uid != 0;
}

/* Of root, who owns all of it, nothing is needed. Who has given the files to somebody else, but starts the daemon as root, has to leave it the rights over them. */
static uint64_t capabilities(const struct app *app, const struct config *c, bool low_ports)
{
	const char *files[FILES][2], *keys[FILES];
	uint64_t keep = low_ports ? BIT(CAP_NET_BIND_SERVICE) : 0;
	bool others = geteuid() == 0 && (foreign(app->config_path) || foreign(c->server_state_directory) || (*c->queue_directory && foreign(c->queue_directory)));
	files_of(app, c, files, keys);
	for (size_t i = 0; i < FILES && geteuid() == 0; i++)
		others |= foreign(files[i][1]);
	return keep | (others ? BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_CHOWN) : 0);
}

int app_confine(struct app *app, const struct config *cfg, struct entente_err *err)
{
	const char *files[FILES][2], *keys[FILES], *notify = getenv("NOTIFY_SOCKET");
	char text[200];
	struct sandbox_opts o = {.mode = (enum sandbox_mode)cfg->server_sandbox, .role = (enum sandbox_role)app->role, .abstract = notify && *notify == '@'};
	struct sandbox_paths *p = sandbox_paths_new();
	if (app->role != CONFIG_EDGE && o.mode && mkdir(cfg->server_state_directory, 0700) && errno != EEXIST)
		errno = 0; /* the store says it better */
	sandbox_paths_system(p);
	config_file(p, app->config_path);
	o.n_keys = files_of(app, cfg, files, keys);
	o.keys = keys;
	for (size_t i = 0; i < FILES; i++)
		sandbox_paths_file(p, files[i][1]);
	sandbox_paths_write(p, cfg->server_state_directory);
	if (o.mode && *cfg->queue_directory && mkdir(cfg->queue_directory, 0700) && errno != EEXIST)
		errno = 0; /* likewise */
	sandbox_paths_write(p, cfg->queue_directory);
	sandbox_paths_socket(p, cfg->server_control_socket);
	sandbox_paths_socket(p, cfg->admin_socket);
	kept_file("/etc/passwd");
	kept_file("/etc/group");
	o.keep = capabilities(app, cfg, ports(p, cfg));
	o.paths = p;
	int rc = sandbox_enter(&o, &app->sandbox, err);
	if (app->sandbox.files)
		app->paths = p;
	else
		sandbox_paths_free(p);
	if (rc)
		return rc;
	sandbox_level_text(&app->sandbox, text, sizeof text);
	log_ev(*app->sandbox.why && app->sandbox.built ? LOG_WARNING : LOG_INFO, "server/sandbox", {"level", slice_str(text)}, {"lacks", slice_str(app->sandbox.why)});
	return 0;
}

int app_confined(const struct app *app, const struct config *cfg, struct entente_err *err)
{
	const char *files[FILES][2], *keys[FILES];
	files_of(app, cfg, files, keys);
	for (size_t i = 0; app->paths && i < FILES; i++)
		if (!sandbox_paths_cover(app->paths, files[i][1]))
			return err_set(err, ENTENTE_EINVAL, REASON_NONE, "%s: %.120s is in a folder that the running daemon has locked itself out of (server.sandbox): restart it",
				       files[i][0], files[i][1]);
	return 0;
}
