variable "project" {
  type        = string
  description = "The Google Cloud project that all of it is made in; with billing, and with nothing else in it."
}

variable "region" {
  type        = string
  default     = "europe-west3"
  description = "Where patients' data lies: cluster, database, buckets and keys."
}

variable "host" {
  type        = string
  description = "The name under which hospitals reach it, such as medseg.example.org; its zone is made here, and is to be delegated to."
}

variable "namespace" {
  type        = string
  default     = "medseg"
  description = "The namespace that the chart is installed into: accounts of Google's are lent to service accounts of it alone."
}

variable "release" {
  type        = string
  default     = "medseg"
  description = "The name of the chart's release, with which its service accounts begin."
}

variable "administrators" {
  type        = map(string)
  description = "Networks from which the cluster's interface answers, by what they are called: { office = \"203.0.113.0/24\" }."
}

variable "node_type" {
  type        = string
  default     = "e2-standard-8"
  description = "The machines of everything but workers with GPUs."
}

variable "nodes" {
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 12 }
  description = "How many of them there are, in all zones together."
}

variable "gpu" {
  type        = object({ machine = string, type = string })
  default     = { machine = "g2-standard-8", type = "nvidia-l4" }
  description = "The machines of workers and their GPU: the chart's nodeSelector names the same."
}

variable "gpu_zones" {
  type        = list(string)
  default     = ["europe-west3-a", "europe-west3-b"]
  description = "Zones of the region that have such GPUs."
}

variable "gpu_nodes" {
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 8 }
  description = "How many of those there are: as many as the chart's scaleOnQueue may want."
}

variable "database_tier" {
  type        = string
  default     = "db-custom-4-16384"
  description = "The machine of the database: processors and MiB."
}

variable "pubsub" {
  type        = bool
  default     = false
  description = "Whether Pub/Sub is the queue, instead of RabbitMQ."
}
