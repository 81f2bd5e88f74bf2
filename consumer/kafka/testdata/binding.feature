Feature: CloudEvents in Kafka records, by the protocol binding for Kafka

  Scenario: binary mode
    Given a record with the headers
      | ce_specversion | 1.0                               |
      | ce_type        | dev.signoff.employee.terminated.v1 |
      | ce_source      | https://hr.example.com/events     |
      | ce_id          | A234-1234-1234                    |
      | ce_time        | 2026-11-20T17:31:00Z              |
      | ce_subject     | Zoë Müller                        |
      | content-type   | application/json                  |
    And the value {"email": "zoe@example.com"}
    Then it is an event with
      | source     | https://hr.example.com/events |
      | id         | A234-1234-1234                |
      | employeeId | Zoë Müller                    |
      | time       | 2026-11-20T17:31:00Z          |
      | email      | zoe@example.com               |

  Scenario: binary mode, header values are not percent-encoded
    Given a record with the headers
      | ce_specversion | 1.0                               |
      | ce_type        | dev.signoff.employee.terminated.v1 |
      | ce_source      | /hr                               |
      | ce_id          | 100%25                            |
    And the value {"email": "zoe@example.com", "employeeId": "7"}
    Then it is an event with
      | source     | /hr    |
      | id         | 100%25 |
      | employeeId | 7      |

  Scenario: binary mode, without data
    Given a record with the headers
      | ce_specversion | 1.0                               |
      | ce_type        | dev.signoff.employee.terminated.v1 |
      | ce_source      | /hr                               |
      | ce_id          | 1                                 |
    Then it is a reject for invalid_data with
      | source | /hr |
      | id     | 1   |

  Scenario Outline: structured mode, by the content-type
    Given a record with the headers
      | content-type | <content-type> |
    And the value {"specversion": "1.0", "type": "dev.signoff.employee.terminated.v1", "source": "/hr", "id": "1", "data": {"email": "zoe@example.com"}}
    Then it is an event with
      | source | /hr             |
      | id     | 1               |
      | email  | zoe@example.com |

    Examples:
      | application/cloudevents+json                |
      | application/cloudevents+json; charset=UTF-8 |
      | Application/CloudEvents+JSON                |

  Scenario: structured mode goes before ce_ headers
    Given a record with the headers
      | content-type | application/cloudevents+json |
      | ce_type      | com.example.other            |
    And the value {"specversion": "1.0", "type": "dev.signoff.employee.terminated.v1", "source": "/hr", "id": "1", "data": {"email": "zoe@example.com"}}
    Then it is an event with
      | id | 1 |

  Scenario: structured mode, without a content-type
    Given a record without headers
    And the value {"specversion": "1.0", "type": "dev.signoff.employee.terminated.v1", "source": "/hr", "id": "1", "data": {"email": "zoe@example.com"}}
    Then it is an event with
      | id | 1 |

  Scenario: a batch, which the binding for Kafka does not have
    Given a record with the headers
      | content-type | application/cloudevents-batch+json |
    And the value [{"specversion": "1.0", "type": "dev.signoff.employee.terminated.v1", "source": "/hr", "id": "1"}]
    Then it is a reject for invalid_event with
      | id | 0/7 |

  Scenario: an event that is none of our business
    Given a record with the headers
      | ce_specversion | 1.0               |
      | ce_type        | com.example.other |
      | ce_source      | /shop             |
      | ce_id          | 1                 |
    And the value {}
    Then it is ignored

  Scenario: a tombstone
    Given a record without headers
    Then it is ignored
