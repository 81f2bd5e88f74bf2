Feature: CloudEvents over HTTP, as its binding and its webhook specification have it

  Scenario: Binary mode
    Given the request
      POST /open HTTP/1.1
      ce-specversion: 1.0
      ce-id: 1234
      ce-source: /hris
      ce-type: dev.signoff.employee.terminated.v1
      ce-subject: E-1
      ce-time: 2026-01-30T18:42:00Z
      Content-Type: application/json

      {"email": "jane@example.com"}
    Then the answer is 204
    And the events are
      /hris 1234 E-1 2026-01-30T18:42:00Z

  Scenario: Binary mode with a charset and an extension
    Given the request
      POST /open HTTP/1.1
      CE-SpecVersion: 1.0
      CE-ID: 1234
      CE-Source: /hris
      CE-Type: dev.signoff.employee.terminated.v1
      ce-partitionkey: E-1
      Content-Type: application/json; charset=utf-8

      {"email": "jane@example.com", "employeeId": "E-1"}
    Then the answer is 204
    And the events are
      /hris 1234 E-1

  Scenario: Binary mode, percent-encoded
    Given the request
      POST /open HTTP/1.1
      ce-specversion: 1.0
      ce-id: 100%25%20%22sure%22
      ce-source: /hris
      ce-type: dev.signoff.employee.terminated.v1
      ce-subject: Euro%20%E2%82%AC%20%F0%9F%98%80
      Content-Type: application/json

      {"email": "jane@example.com"}
    Then the answer is 204
    And the events are
      /hris 100% "sure" Euro € 😀

  Scenario: Binary mode, percent-encoded in small letters and quoted
    Given the request
      POST /open HTTP/1.1
      ce-specversion: 1.0
      ce-id: "a \"quoted\" id"
      ce-source: /hris
      ce-type: dev.signoff.employee.terminated.v1
      ce-subject: %e2%82%ac
      Content-Type: application/json

      {"email": "jane@example.com"}
    Then the answer is 204
    And the events are
      /hris a "quoted" id €

  Scenario: Binary mode, encoded only once
    Given the request
      POST /open HTTP/1.1
      ce-specversion: 1.0
      ce-id: %2541
      ce-source: /hris
      ce-type: dev.signoff.employee.terminated.v1
      ce-subject: E-1
      Content-Type: application/json

      {"email": "jane@example.com"}
    Then the answer is 204
    And the events are
      /hris %41 E-1

  Scenario: Binary mode, an overlong encoding
    Given the request
      POST /open HTTP/1.1
      ce-specversion: 1.0
      ce-id: 1234
      ce-source: /hris
      ce-type: dev.signoff.employee.terminated.v1
      ce-subject: %C0%A0
      Content-Type: application/json

      {"email": "jane@example.com"}
    Then the answer is 400

  Scenario: Structured mode
    Given the request
      POST /open HTTP/1.1
      Content-Type: application/cloudevents+json

      {"specversion": "1.0", "id": "1234", "source": "/hris", "type": "dev.signoff.employee.terminated.v1",
       "subject": "E-1", "time": "2026-01-30T18:42:00Z", "datacontenttype": "application/json",
       "data": {"email": "jane@example.com"}}
    Then the answer is 204
    And the events are
      /hris 1234 E-1 2026-01-30T18:42:00Z

  Scenario: Structured mode with a charset, in odd case
    Given the request
      POST /open HTTP/1.1
      Content-Type: Application/CloudEvents+JSON; charset=UTF-8

      {"specversion": "1.0", "id": "1234", "source": "/hris", "type": "dev.signoff.employee.terminated.v1",
       "subject": "E-1", "data_base64": "eyJlbWFpbCI6ImphbmVAZXhhbXBsZS5jb20ifQ=="}
    Then the answer is 204
    And the events are
      /hris 1234 E-1

  Scenario: Structured mode in a format that we don't know
    Given the request
      POST /open HTTP/1.1
      Content-Type: application/cloudevents+avro

      Obj
    Then the answer is 415

  Scenario: Batched mode
    Given the request
      POST /open HTTP/1.1
      Content-Type: application/cloudevents-batch+json; charset=utf-8

      [{"specversion": "1.0", "id": "1", "source": "/hris", "type": "dev.signoff.employee.terminated.v1",
        "subject": "E-1", "data": {"email": "jane@example.com"}},
       {"specversion": "1.0", "id": "2", "source": "/hris", "type": "com.example.someevent"},
       {"specversion": "1.0", "id": "3", "source": "/hris", "type": "dev.signoff.employee.terminated.v1",
        "subject": "E-3", "data": {"email": "sam@example.com"}}]
    Then the answer is 204
    And the events are
      /hris 1 E-1
      /hris 3 E-3

  Scenario: Batched mode, empty
    Given the request
      POST /open HTTP/1.1
      Content-Type: application/cloudevents-batch+json

      []
    Then the answer is 204

  Scenario: Batched mode with one that is no event
    Given the request
      POST /open HTTP/1.1
      Content-Type: application/cloudevents-batch+json

      [{"specversion": "1.0", "id": "1", "source": "/hris", "type": "dev.signoff.employee.terminated.v1",
        "data": {"email": "jane@example.com"}}, {"specversion": "1.0", "id": "2"}]
    Then the answer is 400

  Scenario: Neither mode
    Given the request
      POST /open HTTP/1.1
      Content-Type: application/json

      {"email": "jane@example.com"}
    Then the answer is 415

  Scenario: A token in the header
    Given the request
      POST /events HTTP/1.1
      Authorization: Bearer 0123456789abcdef
      Content-Type: application/cloudevents+json

      {"specversion": "1.0", "id": "1234", "source": "/hris", "type": "com.example.someevent"}
    Then the answer is 202

  Scenario: A token in the query
    Given the request
      POST /events?access_token=0123456789abcdef HTTP/1.1
      Content-Type: application/cloudevents+json

      {"specversion": "1.0", "id": "1234", "source": "/hris", "type": "com.example.someevent"}
    Then the answer is 202
    And its headers have
      Cache-Control: private

  Scenario: No token
    Given the request
      POST /events HTTP/1.1
      Content-Type: application/cloudevents+json

      {"specversion": "1.0", "id": "1234", "source": "/hris", "type": "com.example.someevent"}
    Then the answer is 401
    And its headers have
      WWW-Authenticate: Bearer

  Scenario: The handshake, by an origin that we know
    Given the request
      OPTIONS /events HTTP/1.1
      WebHook-Request-Origin: eventgrid.azure.net
      WebHook-Request-Callback: https://eventgrid.azure.net/confirm?id=1
      WebHook-Request-Rate: 120
    Then the answer is 204
    And its headers have
      WebHook-Allowed-Origin: eventgrid.azure.net
      WebHook-Allowed-Rate: *
      Allow: POST, OPTIONS

  Scenario: The handshake, by an origin that only begins like it
    Given the request
      OPTIONS /events HTTP/1.1
      WebHook-Request-Origin: eventgrid.azure.net.evil.io
      WebHook-Request-Rate: 120
    Then the answer is 204
    And its headers have
      WebHook-Allowed-Origin:
      WebHook-Allowed-Rate:

  Scenario: An event of an origin that we don't know
    Given the request
      POST /events HTTP/1.1
      Authorization: Bearer 0123456789abcdef
      WebHook-Request-Origin: evil.io
      Content-Type: application/cloudevents+json

      {"specversion": "1.0", "id": "1234", "source": "/hris", "type": "com.example.someevent"}
    Then the answer is 403
