# note: XmppGatewayConfiguration Global, DialbackPassphrase: not needed: Entente makes a secret of its own, and partners never see it
# warning: XmppGatewayConfiguration Global, EnableLoggingAllMessageBodies: no equivalent: bodies are never logged
# warning: ExternalAccessPolicy Tag:Sales, Identity: no equivalent: policies of sites and users do not exist here yet
# error: XmppAllowedPartner numbers.example, PartnerType: is a number: export with Export-Clixml, or ConvertTo-Json -EnumsAsStrings
# warning: AllowedDomain contoso.com: SIP federation is not administered by this command yet
# warning: object : not known: it is none of the objects that this command translates
# for /etc/entente/entente.yaml:
#   limits.max-connections: 1000    (ConnectionLimit)
#   limits.max-connections-per-partner: 20    (PartnerConnectionLimit)
#   timers.keepalive-timeout: 300s    (KeepAliveInterval)
#   timers.stream-setup: 60s    (StreamEstablishmentTimeout)
#   timers.stream-idle: 600s    (StreamInactivityTimeout)
#   timers.subscription-expires: 28800s    (SubscriptionRefreshInterval)
#   xmpp.access: false    (EnableXmppAccess)
