/* SPDX-License-Identifier: Apache-2.0 */
/* The secrets of dialback keys: those of the file that a pool shares, or else one of our own from the store. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "app/app.h"
#include "base/log.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of app->secrets */

/* n 0: no file is configured. */
static int load(struct xmpp_dialback_secrets *ret, const char *path, struct entente_err *err)
{
	char text[4096];
	struct stat st;
	struct entente_err why;
	ret->n = 0;
	if (!*path)
		return 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
	int rc = n < 0 ? err_set(err, ENTENTE_EINVAL, REASON_NONE, "xmpp.dialback-secret-file: %s: %s", path, strerror(errno)) : 0;
	if (!rc && xmpp_dialback_secrets_parse(ret, slice_of(text, (size_t)n), &why))
		rc = err_set(err, ENTENTE_EINVAL, REASON_NONE, "xmpp.dialback-secret-file: %s: %s", path, why.text);
	if (!rc && !fstat(fd, &st) && (st.st_mode & (S_IROTH | S_IWOTH)))
		log_ev(LOG_WARNING, "server/secret-open", {"setting", S("xmpp.dialback-secret-file")},
		       {"text", S("everybody on this machine can read or write the file with the dialback secrets")});
	if (fd >= 0)
		close(fd);
	explicit_bzero(text, sizeof text);
	return rc;
}

int app_check_secrets(const struct config *cfg, struct entente_err *err)
{
	struct xmpp_dialback_secrets s;
	int rc = load(&s, cfg->xmpp_dialback_secret_file, err);
	explicit_bzero(&s, sizeof s);
	return rc;
}

int app_use_secrets(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct xmpp_dialback_secrets s;
	int rc = load(&s, cfg->xmpp_dialback_secret_file, err);
	pthread_mutex_lock(&lock);
	if (!rc)
		app->secrets = s;
	pthread_mutex_unlock(&lock);
	explicit_bzero(&s, sizeof s);
	return rc;
}

struct slice app_secrets(struct app *app, char ret[APP_SECRETS])
{
	struct xmpp_dialback_secrets s;
	pthread_mutex_lock(&lock);
	s = app->secrets;
	pthread_mutex_unlock(&lock);
	if (!s.n && app->store) {
		unsigned char own[STORE_SECRET_LEN];
		store_dialback_secret(app->store, own);
		xmpp_dialback_secrets_init(&s, slice_of((const char *)own, sizeof own));
		explicit_bzero(own, sizeof own);
	}
	size_t n = xmpp_dialback_secrets_text(&s, ret);
	explicit_bzero(&s, sizeof s);
	return slice_of(ret, n);
}
