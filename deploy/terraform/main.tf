# An example of what the chart on GKE stands on (helm/medseg/ci/gke-values.yaml): copy it, and read docs/operations.md.
#
#   network.tf   a network of its own, the way out, and the way to Google's interfaces
#   cluster.tf   a private cluster, its nodes, and nodes with GPUs
#   data.tf      keys, the database, the buckets
#   identity.tf  the accounts that services act as
#   pubsub.tf    what Pub/Sub needs, where it is to be the queue
#   entry.tf     the address, its name and its certificate
#   values.tf    what the chart is to be told of all that

terraform {
  required_version = ">= 1.6"
  required_providers {
    google      = { source = "hashicorp/google", version = "~> 6.12" }
    google-beta = { source = "hashicorp/google-beta", version = "~> 6.12" }
  }
  # The state says where everything is. Keep it where your administrators alone read it:
  # backend "gcs" { bucket = "…", prefix = "medseg" }
}

provider "google" {
  project = var.project
  region  = var.region
}

provider "google-beta" {
  project = var.project
  region  = var.region
}

data "google_project" "this" {}

resource "google_project_service" "used" {
  for_each = toset([
    "certificatemanager.googleapis.com", "cloudkms.googleapis.com", "compute.googleapis.com", "container.googleapis.com",
    "dns.googleapis.com", "servicenetworking.googleapis.com", "sqladmin.googleapis.com",
  ])
  service            = each.key
  disable_on_destroy = false
}
