package employees

import "testing"

// FuzzPeople looks for files that break the reading of them, or lead from an id
// to somebody without an email.
func FuzzPeople(f *testing.F) {
	f.Add([]byte("employeeId,email,other emails\nE-1,jane@example.com,a@example.com; b@example.com\nE-1,sam@example.com,\n"))
	f.Add([]byte("\ufeffid;mail\r\n\"E;1\";jane@example.com\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		people, ambiguous, err := readPeople(raw)
		if err != nil {
			return
		}
		nobody := 0
		for id, p := range people {
			if id == "" {
				t.Errorf("%+v has no id", p)
			}
			if p.Email == "" {
				nobody++
			}
		}
		if nobody != ambiguous {
			t.Errorf("%d of %d lead to nobody, and %d are said to be ambiguous", nobody, len(people), ambiguous)
		}
	})
}

// FuzzUsers looks for answers that break the reading of them.
func FuzzUsers(f *testing.F) {
	f.Add([]byte(`{"totalResults":1,"Resources":[{"externalId":"E-1","userName":"jane@example.com","name":{"givenName":"Jane"},"emails":[{"value":"j@example.com","primary":true}]}]}`), "externalId")
	f.Add([]byte(`{"Resources":[{"urn:a:2.0:User":{"x":{"y":7}}}]}`), "urn:a:2.0:User:x.y")
	f.Fuzz(func(t *testing.T, answer []byte, attribute string) {
		users, _, err := listed(answer)
		if err != nil {
			return
		}
		for _, u := range users {
			valueOf(u, attribute)
			if p := personOf(u); p.Email == "" && len(p.OtherEmails) > 0 {
				t.Errorf("got %+v", p)
			}
		}
	})
}
