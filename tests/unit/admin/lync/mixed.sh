# note: XmppGatewayConfiguration Global, DialbackPassphrase: not needed: Entente makes a secret of its own, and partners never see it
# warning: XmppGatewayConfiguration Global, EnableLoggingAllMessageBodies: no equivalent: bodies are never logged
# error: XmppAllowedPartner numbers.example, PartnerType: is a number: export with Export-Clixml, or ConvertTo-Json -EnumsAsStrings
# note: HostingProvider LyncOnline, AutodiscoverUrl: not needed: clients use it, federation does not
# warning: AccessEdgeConfiguration Global, AllowOutsideUsers: no equivalent: users of our own who are outside do not come through Entente
# warning: object : not known: it is none of the objects that this command translates
# for /etc/entente/entente.yaml:
#   limits.max-connections: 1000    (ConnectionLimit)
#   limits.max-connections-per-partner: 20    (PartnerConnectionLimit)
#   timers.keepalive-timeout: 300s    (KeepAliveInterval)
#   timers.stream-setup: 60s    (StreamEstablishmentTimeout)
#   timers.stream-idle: 600s    (StreamInactivityTimeout)
#   timers.subscription-expires: 28800s    (SubscriptionRefreshInterval)
entente allowed-domain add contoso.com --proxy-fqdn sip.contoso.com --verification-level use-source-verification --mark-for-monitoring
entente hosting-provider add LyncOnline --proxy-fqdn sipfed.online.lync.com --enabled --verification-level use-source-verification --shared-address-space --hosts-ocs-users --is-local=false
entente access-edge set --federated-users --partner-discovery --discovered-partner-verification-level use-source-verification --discovered-partner-contacts-limit --max-contacts-per-discovered-partner 1000 --discovered-partner-standard-rate 20 --archiving-disclaimer=false --outgoing-tls-count 4 --clearing-house=false
