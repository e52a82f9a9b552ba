-- SPDX-License-Identifier: Apache-2.0
-- A database as version 1 of the schema left it: what every later version must be able to take over. Never edited.
PRAGMA journal_mode=WAL;
CREATE TABLE xmpp_partner( domain TEXT PRIMARY KEY, type TEXT NOT NULL CHECK(type IN ('federated', 'public-verified', 'public-unverified')), enabled INTEGER NOT NULL, tls TEXT NOT NULL CHECK(tls IN ('required', 'optional', 'not-supported')), sasl TEXT NOT NULL CHECK(sasl IN ('required', 'optional', 'not-supported')), dialback INTEGER NOT NULL, keep_alive INTEGER NOT NULL, connection_limit INTEGER NOT NULL, server_host TEXT NOT NULL, server_port INTEGER NOT NULL CHECK(server_port BETWEEN 0 AND 65535), description TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE xmpp_partner_domain( domain TEXT PRIMARY KEY, partner TEXT NOT NULL REFERENCES xmpp_partner(domain) ON DELETE CASCADE, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX xmpp_partner_domain_of ON xmpp_partner_domain(partner, position);
CREATE TABLE blocked_domain( domain TEXT PRIMARY KEY, comment TEXT NOT NULL, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE history( generation INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL) STRICT;
CREATE TABLE contact( local_user TEXT NOT NULL, remote_user TEXT NOT NULL, learned_at INTEGER NOT NULL, how INTEGER NOT NULL, PRIMARY KEY(local_user, remote_user)) STRICT, WITHOUT ROWID;
CREATE TABLE watch( watcher TEXT NOT NULL, presentity TEXT NOT NULL, state INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY(watcher, presentity)) STRICT, WITHOUT ROWID;
CREATE TABLE dialog( id TEXT PRIMARY KEY, local_user TEXT NOT NULL, remote_user TEXT NOT NULL, blob BLOB NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX dialog_expires ON dialog(expires_at);
CREATE TABLE secret( name TEXT PRIMARY KEY, value BLOB NOT NULL, made_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO xmpp_partner VALUES('fabrikam.example', 'federated', 1, 'optional', 'required', 0, 1, 7, 'xmpp.fabrikam.example', 5270, 'old friends');
INSERT INTO xmpp_partner_domain VALUES('fabrikam.example', 'fabrikam.example', 0);
INSERT INTO xmpp_partner_domain VALUES('research.fabrikam.example', 'fabrikam.example', 1);
INSERT INTO blocked_domain VALUES('evil.example', 'spam', 1700000000);
INSERT INTO history VALUES(1, 1700000000, 'root', 'partner add fabrikam.example');
INSERT INTO contact VALUES('romeo@contoso.example', 'juliet@fabrikam.example', 1700000000, 0);
INSERT INTO watch VALUES('juliet@fabrikam.example', 'romeo@contoso.example', 1, 1700000000);
INSERT INTO secret VALUES('dialback', x'000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 1700000000);
PRAGMA application_id=1164866609;
PRAGMA user_version=1;
