entente block add evil.example --comment 'said "no", twice  and more'
entente block add xn--mnch-0ra.example
