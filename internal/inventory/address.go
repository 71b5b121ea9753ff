package inventory

import (
	"fmt"
	"net/netip"
	"syscall"
)

// LinkLocal says that an address is one where clouds hand out the credentials of the
// machine, or that leads to many machines or none. Nobody is sent there.
func LinkLocal(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsMulticast() || a.IsUnspecified()
}

// RefuseLinkLocal is the Control of a net.Dialer that reaches no such address, whatever
// a name resolves to by then and wherever a redirect leads.
func RefuseLinkLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	if LinkLocal(at.Addr()) {
		return Errorf(ErrForbidden, "%s is a link-local address", at.Addr()).
			WithRemedy("Tallyman does not connect there; use the address that others reach the host by")
	}
	return nil
}
