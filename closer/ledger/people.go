package ledger

import "strings"

// Person is somebody who decides, as their token has it.
type Person struct {
	Name  string // of the token; may be an address
	Email string // "" if the token names none
}

// address tells people apart: somebody may have several tokens.
func (p Person) address() string {
	if p.Email != "" {
		return strings.ToLower(p.Email)
	}
	return strings.ToLower(p.Name)
}

// Is says whether the person goes by this address, by the token's name or by its
// email. Case does not count.
func (p Person) Is(address string) bool {
	return address != "" && (strings.EqualFold(p.Name, address) || strings.EqualFold(p.Email, address))
}
