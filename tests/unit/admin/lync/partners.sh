entente partner xmpp add fabrikam.com --type federated --tls required --sasl optional --description 'Jim'\''s partner call 555' --connection-limit 30 --additional-domain research.fabrikam.com --additional-domain fabrikam2.com
entente partner xmpp add gmail.com --type public-unverified --tls not-supported --sasl not-supported --no-keep-alive --server xmpp-server.l.google.com --connection-limit 0
