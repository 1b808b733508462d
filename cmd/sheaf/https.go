package main

import (
	"net"

	"github.com/sheafgrid/sheaf/coordinator"
)

// httpsFlags say what clients see of a coordinator.
type httpsFlags struct {
	TLS           string   `help:"Encryption for clients without a certificate from elsewhere: auto makes a certificate unless --listen is on loopback; own makes one in any case; off speaks plain HTTP, for a proxy in front that speaks HTTPS. Default: auto." name:"tls" enum:"auto,own,off" default:"auto" placeholder:"MODE"`
	TLSCert       string   `help:"File with a certificate (PEM), and behind it those that vouch for it; read again when it changes." name:"tls-cert" type:"path" placeholder:"FILE"`
	TLSKey        string   `help:"File with the certificate's key (PEM)." name:"tls-key" type:"path" placeholder:"FILE"`
	ACME          []string `help:"Get a certificate for this name from Let's Encrypt, whose terms you accept; port 443 of the name must lead to --listen." name:"acme" placeholder:"DOMAIN"`
	ACMEEmail     string   `help:"With --acme: where the authority writes to when something is wrong." name:"acme-email" placeholder:"ADDRESS"`
	ACMEDirectory string   `help:"With --acme: another authority than Let's Encrypt." name:"acme-directory" placeholder:"URL"`
}

func (f *httpsFlags) https() coordinator.HTTPS {
	return coordinator.HTTPS{
		Encryption: coordinator.Encryption(f.TLS), Cert: f.TLSCert, Key: f.TLSKey,
		Domains: f.ACME, Email: f.ACMEEmail, Directory: f.ACMEDirectory,
	}
}

// plainFlag lets a client speak plain HTTP beyond this machine.
type plainFlag struct {
	PlainHTTP bool `help:"Allow plain HTTP beyond this machine, where anybody on the way can read and change what is said." name:"plain-http" env:"SHEAF_PLAIN_HTTP"`
}

// loopbackOnly reports whether only this machine reaches an address.
func loopbackOnly(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
