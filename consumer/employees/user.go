package employees

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"signoff/consumer"
)

const coreUser = "urn:ietf:params:scim:schemas:core:2.0:User"

// listed reads a ListResponse.
func listed(body []byte) (users []map[string]any, more bool, err error) {
	value, err := consumer.ParseJSON(body)
	if err != nil {
		return nil, false, fmt.Errorf("scim: the answer: %w", err)
	}
	list, ok := value.(map[string]any)
	if !ok {
		return nil, false, errors.New("scim: the answer: not a list of users")
	}
	resources, hasUsers := member(list, "Resources").([]any)
	total, hasTotal := member(list, "totalResults").(json.Number)
	if !hasUsers && !hasTotal {
		return nil, false, errors.New("scim: the answer: not a list of users")
	}
	for _, r := range resources {
		user, ok := r.(map[string]any)
		if !ok {
			return nil, false, errors.New("scim: the answer: one of the users is not an object")
		}
		users = append(users, user)
	}
	n, err := total.Int64()
	return users, err == nil && n > int64(len(users)), nil
}

// member finds an attribute, whose name has no case.
func member(object map[string]any, name string) any {
	if value, ok := object[name]; ok {
		return value
	}
	for known, value := range object {
		if strings.EqualFold(known, name) {
			return value
		}
	}
	return nil
}

// text is a value as text, "" if it is neither text nor number.
func text(value any) string {
	switch v := value.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	}
	return ""
}

// valueOf is an attribute by its name, which may begin with a schema and have one
// attribute below it.
func valueOf(user map[string]any, attribute string) string {
	var value any = user
	if at := strings.LastIndex(attribute, ":"); at >= 0 {
		if schema := attribute[:at]; !strings.EqualFold(schema, coreUser) {
			value = member(user, schema)
		}
		attribute = attribute[at+1:]
	}
	for name := range strings.SplitSeq(attribute, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return ""
		}
		value = member(object, name)
	}
	return text(value)
}

// personOf takes all addresses of a user. The first is the primary one, else one
// of work or the only one, else the user's name if that is an address.
func personOf(user map[string]any) consumer.Person {
	type address struct {
		text string
		rank int
	}
	var all []address
	emails, _ := member(user, "emails").([]any)
	for _, e := range emails {
		object, _ := e.(map[string]any)
		a := address{text(member(object, "value")), 3}
		switch {
		case isTrue(member(object, "primary")):
			a.rank = 0
		case strings.EqualFold(text(member(object, "type")), "work") || len(emails) == 1:
			a.rank = 1
		}
		all = append(all, a)
	}
	all = append(all, address{text(member(user, "userName")), 2})
	all = slices.DeleteFunc(all, func(a address) bool { return !strings.Contains(a.text, "@") })
	slices.SortStableFunc(all, func(a, b address) int { return cmp.Compare(a.rank, b.rank) })
	if len(all) == 0 {
		return consumer.Person{}
	}
	name, _ := member(user, "name").(map[string]any)
	p := consumer.Person{
		Email: all[0].text, TimeZone: text(member(user, "timezone")),
		GivenName: text(member(name, "givenName")), FamilyName: text(member(name, "familyName")),
	}
	for _, a := range all[1:] {
		p.OtherEmails = append(p.OtherEmails, a.text)
	}
	return p
}

// isTrue also takes the text that some servers write.
func isTrue(value any) bool {
	flag, ok := value.(bool)
	return ok && flag || strings.EqualFold(text(value), "true")
}
