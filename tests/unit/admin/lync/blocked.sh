entente blocked-domain add evil.example --comment 'said "no", twice  and more'
entente blocked-domain add xn--mnch-0ra.example
