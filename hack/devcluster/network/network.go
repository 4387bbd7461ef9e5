// Package network gives Pods network namespaces of their own, joined by a
// bridge, as a node's CNI plugin does. It needs root on Linux.
//
// Pods have no default route: they reach each other and the bridge's address,
// where the API server and the stores listen, and nothing outside the machine.
// NetworkPolicy objects are not enforced.
package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Bridge is the Pods' network.
type Bridge struct {
	name   string
	prefix netip.Prefix
	link   *netlink.Bridge
	owner  net.Listener

	mutex sync.Mutex
	taken map[netip.Addr]bool
	last  netip.Addr
}

// Up makes the bridge with the network's first address; Clean comes first, for what
// a killed devcluster left. outside names a network
// that must not leave the machine although nothing here answers for it.
func Up(name string, prefix netip.Prefix, outside string) (*Bridge, error) {
	owner, err := own(name)
	if err != nil {
		return nil, fmt.Errorf("another devcluster owns the bridge %s: %w", name, err)
	}

	gateway := prefix.Masked().Addr().Next()
	b := &Bridge{name: name, prefix: prefix, owner: owner, taken: map[netip.Addr]bool{gateway: true}, last: gateway}
	b.link = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := netlink.LinkAdd(b.link); err != nil {
		return nil, fmt.Errorf("make the bridge %s (CAP_NET_ADMIN is needed): %w", name, err)
	}

	address := &netlink.Addr{IPNet: ipNet(gateway, prefix.Bits())}
	if err := netlink.AddrAdd(b.link, address); err != nil {
		return nil, fmt.Errorf("give the bridge its address %s: %w", gateway, err)
	}
	if err := netlink.LinkSetUp(b.link); err != nil {
		return nil, fmt.Errorf("set the bridge up: %w", err)
	}

	_, destination, err := net.ParseCIDR(outside)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", outside, err)
	}

	route := &netlink.Route{Dst: destination, Type: unix.RTN_UNREACHABLE}
	// Another devcluster may have made the same route.
	if err := netlink.RouteAdd(route); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("keep %s on this machine: %w", outside, err)
	}

	return b, nil
}

// own takes the bridge's name for as long as this process lives: an abstract
// socket (unix(7)) belongs to a network namespace, as the bridge does, and goes
// with its process, as the bridge does not.
func own(name string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(context.Background(), "unix", "@devcluster-"+name)
}

// Clean removes the bridges of devclusters that were killed, whatever directory
// they were started in: nobody else would, and their addresses are taken.
func Clean(outside string) error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list the networks of this machine: %w", err)
	}

	for _, link := range links {
		name := link.Attrs().Name
		if link.Type() != "bridge" || !bridgeName.MatchString(name) {
			continue
		}

		owner, err := own(name)
		if err != nil {
			continue // it is in use
		}

		Down(name, outside)
		_ = owner.Close()
	}

	return nil
}

// Down removes a bridge and, where no other devcluster needs it, the route of
// Up; what does not exist is no error.
func Down(name, outside string) {
	if link, err := netlink.LinkByName(name); err == nil {
		_ = netlink.LinkDel(link)
	}

	links, err := netlink.LinkList()
	if err != nil {
		return
	}

	for _, link := range links {
		if link.Type() == "bridge" && bridgeName.MatchString(link.Attrs().Name) {
			return // another devcluster's
		}
	}

	if _, destination, err := net.ParseCIDR(outside); err == nil {
		_ = netlink.RouteDel(&netlink.Route{Dst: destination, Type: unix.RTN_UNREACHABLE})
	}
}

// bridgeName is what config.Config.ID gives.
var bridgeName = regexp.MustCompile("^lb[0-9a-f]{6}$")

// Namespace is one Pod's network namespace.
type Namespace struct {
	// IP is the Pod's address.
	IP     netip.Addr
	handle netns.NsHandle
	bridge *Bridge
	host   string
}

// Attach makes a namespace with an address of its own on the bridge.
func (b *Bridge) Attach() (*Namespace, error) {
	ip, err := b.allocate()
	if err != nil {
		return nil, err
	}

	bytes := ip.As4()
	n := &Namespace{IP: ip, bridge: b, handle: netns.None(), host: fmt.Sprintf("%sp%d", b.name, int(bytes[2])<<8|int(bytes[3]))}
	if err := n.create(); err != nil {
		n.Close()
		return nil, fmt.Errorf("make the network of %s: %w", ip, err)
	}

	return n, nil
}

func (n *Namespace) create() error {
	peer := n.host + "c"
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: n.host, MasterIndex: n.bridge.link.Index}, PeerName: peer}
	if old, err := netlink.LinkByName(n.host); err == nil {
		_ = netlink.LinkDel(old)
	}

	if err := netlink.LinkAdd(veth); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return err
	}

	inside, err := netlink.LinkByName(peer)
	if err != nil {
		return err
	}
	if n.handle, err = newNamespace(); err != nil {
		return err
	}
	if err := netlink.LinkSetNsFd(inside, int(n.handle)); err != nil {
		return err
	}

	handle, err := netlink.NewHandleAt(n.handle)
	if err != nil {
		return err
	}
	defer handle.Close()

	if inside, err = handle.LinkByName(peer); err != nil {
		return err
	}
	if err := handle.LinkSetName(inside, "eth0"); err != nil {
		return err
	}
	if err := handle.AddrAdd(inside, &netlink.Addr{IPNet: ipNet(n.IP, n.bridge.prefix.Bits())}); err != nil {
		return err
	}
	if err := handle.LinkSetUp(inside); err != nil {
		return err
	}

	loopback, err := handle.LinkByName("lo")
	if err != nil {
		return err
	}

	return handle.LinkSetUp(loopback)
}

// newNamespace makes a namespace on a thread that is thrown away afterwards.
func newNamespace() (netns.NsHandle, error) {
	type result struct {
		handle netns.NsHandle
		err    error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread()
		handle, err := netns.New()
		made <- result{handle, err}
	}()

	r := <-made
	return r.handle, r.err
}

// Enter moves the calling thread into the namespace; the thread must be locked
// and be thrown away.
func (n *Namespace) Enter() error { return netns.Set(n.handle) }

// Close removes the namespace and gives its address back. Processes in it must
// have ended.
func (n *Namespace) Close() {
	if link, err := netlink.LinkByName(n.host); err == nil {
		_ = netlink.LinkDel(link)
	}

	if n.handle.IsOpen() {
		_ = n.handle.Close()
	}

	n.bridge.mutex.Lock()
	defer n.bridge.mutex.Unlock()

	delete(n.bridge.taken, n.IP)
}

// allocate takes the next free address after the last one, so that an address
// rests before it is used again.
func (b *Bridge) allocate() (netip.Addr, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()

	size := 1 << (32 - b.prefix.Bits())
	ip := b.last
	for range size {
		ip = ip.Next()
		if !b.prefix.Contains(ip) || !b.prefix.Contains(ip.Next()) { // the last one is the broadcast address
			ip = b.prefix.Masked().Addr().Next()
		}
		if !b.taken[ip] {
			b.taken[ip], b.last = true, ip
			return ip, nil
		}
	}

	return netip.Addr{}, fmt.Errorf("all %d addresses of %s are taken", size-2, b.prefix)
}

func ipNet(ip netip.Addr, bits int) *net.IPNet {
	return &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(bits, 32)}
}
