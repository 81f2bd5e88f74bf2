module signoff/ci/dashboards

go 1.26.0
