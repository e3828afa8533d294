# The project of helm/medseg/ci/gke-values.yaml. Copy it to terraform.tfvars, and put yours there.
project        = "example"
host           = "medseg.example.org"
administrators = { office = "203.0.113.0/24" }
